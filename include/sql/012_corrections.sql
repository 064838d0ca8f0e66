-- What people say of two photographs: that they show the same place, or not. By path, so that it
-- outlives changed images, other models and rows that come and go. Of a pair the latest word stands;
-- those before stay, with who ended them and when.
CREATE TABLE landmark_corrections (
    number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first    text COLLATE "C" NOT NULL,        -- s3://bucket/key, the smaller of the two
    second   text COLLATE "C" NOT NULL,
    is_same  boolean NOT NULL,
    said_by  text NOT NULL,                    -- Airflow's name of the user
    said_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_by text,                             -- who has taken it back, or said the contrary
    ended_at timestamptz,                      -- null: it stands
    CHECK (first < second),
    CHECK ((ended_by IS NULL) = (ended_at IS NULL))
);

CREATE UNIQUE INDEX landmark_corrections_standing ON landmark_corrections (first, second)
    WHERE ended_at IS NULL;
CREATE INDEX landmark_corrections_second ON landmark_corrections (second)
    WHERE ended_at IS NULL;
