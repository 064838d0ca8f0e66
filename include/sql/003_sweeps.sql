-- Every sweep and what it found.
CREATE TABLE landmark_sweeps (
    sweep       text PRIMARY KEY,              -- the Airflow run that planned it
    model       text COLLATE "C" NOT NULL,
    prefix      text NOT NULL,
    planned_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    seen        bigint NOT NULL,               -- images listed
    new         bigint NOT NULL,
    changed     bigint NOT NULL,
    retried     bigint NOT NULL,
    removed     bigint NOT NULL,
    postponed   bigint NOT NULL,               -- left for the next sweep
    indexed     bigint,                        -- what became of them, once finished
    failed      bigint,
    gone        bigint
);

-- What the running sweep has to do. An outcome is written in the transaction that writes the
-- image's features, so a killed task that is run again finds just what is left.
CREATE TABLE landmark_sweep_images (
    sweep      text NOT NULL REFERENCES landmark_sweeps ON DELETE CASCADE,
    batch      integer NOT NULL,
    image_path text COLLATE "C" NOT NULL,
    etag       text NOT NULL,                  -- as listed
    size       bigint NOT NULL,                -- bytes, as listed
    outcome    text CHECK (outcome IN ('indexed', 'failed', 'gone')),
    PRIMARY KEY (sweep, image_path)
);

CREATE INDEX landmark_sweep_images_batch ON landmark_sweep_images (sweep, batch, image_path);
