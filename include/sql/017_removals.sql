-- What people have taken from the index: a photograph, or all below a folder. It stays out, whatever
-- sweeps list and searches add, until somebody lets it in again; those before stay, with who and when.
CREATE TABLE landmark_removals (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path       text COLLATE "C" NOT NULL,      -- s3://bucket/key; of a folder it ends with a slash
    -- Paths from `path` to before this are meant: of a folder all below, else the one alone.
    beyond     text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        CASE WHEN right(path, 1) = '/' THEN left(path, -1) || '0' ELSE path || E'\x01' END
    ) STORED,
    removed_by text NOT NULL,                  -- Airflow's name of the user
    removed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_by   text,
    ended_at   timestamptz,                    -- null: it stays out
    CHECK ((ended_by IS NULL) = (ended_at IS NULL))
);

CREATE UNIQUE INDEX landmark_removals_standing ON landmark_removals (path)
    WHERE ended_at IS NULL;

-- By which photographs are found by what their name begins with, in whatever folder. Of letters only
-- those of ASCII have a small one here: that never changes with the server's libraries.
CREATE INDEX landmarks_name ON landmarks
    (model, lower(substring(image_path FROM '[^/]*$')), image_path);
CREATE INDEX landmark_failures_name ON landmark_failures
    (model, lower(substring(image_path FROM '[^/]*$')), image_path);
-- And by folder, without a look at what other models have.
CREATE INDEX landmarks_model_path ON landmarks (model, image_path);
