-- Who is told when more photographs of a place come in. A photograph is watched by its path, so by
-- whatever place shows it, with any model; a place by its id.
CREATE TABLE landmark_watches (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    photograph text COLLATE "C",               -- s3://bucket/key
    place      bigint REFERENCES landmark_places ON DELETE CASCADE,
    started_by text NOT NULL,                  -- Airflow's name of the user
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_by   text,
    ended_at   timestamptz,                    -- null: it goes on
    CHECK (num_nonnulls(photograph, place) = 1),
    CHECK ((ended_by IS NULL) = (ended_at IS NULL))
);

CREATE UNIQUE INDEX landmark_watches_photograph ON landmark_watches (photograph)
    WHERE ended_at IS NULL;
CREATE UNIQUE INDEX landmark_watches_place ON landmark_watches (place) WHERE ended_at IS NULL;
CREATE INDEX landmark_watches_of_place ON landmark_watches (place);

-- What is no news: what was there when the watch began, and what was reported since. By path, so
-- that neither a changed photograph nor another model tells of it again.
CREATE TABLE landmark_watched (
    watch      bigint NOT NULL REFERENCES landmark_watches ON DELETE CASCADE,
    image_path text COLLATE "C" NOT NULL,
    PRIMARY KEY (watch, image_path)
);

CREATE TABLE landmark_watch_reports (
    watch       bigint NOT NULL REFERENCES landmark_watches ON DELETE CASCADE,
    number      integer NOT NULL,              -- of this watch, from 1 on
    run_id      text COLLATE "C" NOT NULL,     -- of landmark_index
    folder      text NOT NULL,                 -- s3://bucket/…/
    place       bigint NOT NULL,
    photographs integer NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (watch, number)
);

CREATE INDEX landmark_watch_reports_run ON landmark_watch_reports (run_id);

-- The place of a later model that has taken over name, note and watches.
ALTER TABLE landmark_places ADD COLUMN carried_into bigint
    REFERENCES landmark_places ON DELETE SET NULL;
CREATE INDEX landmark_places_carried ON landmark_places (carried_into);
