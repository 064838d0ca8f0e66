-- The local features of every image, one row for each image and model.
-- Paths sort bytewise (COLLATE "C"): the same order everywhere, and prefixes can use the index.
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE landmarks (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    image_path        text COLLATE "C" NOT NULL,    -- s3://bucket/key
    model             text COLLATE "C" NOT NULL,    -- fingerprint of model and extraction parameters
    etag              text NOT NULL,                -- of the object that the features were read from
    width             integer NOT NULL,             -- px, upright
    height            integer NOT NULL,
    n_features        integer NOT NULL,
    locations         bytea NOT NULL,               -- float32 [n, 2] (y, x) px in the original image
    descriptors       bytea NOT NULL,               -- float16 [n, d]
    scales            bytea NOT NULL,               -- float32 [n]
    attention         bytea NOT NULL,               -- float32 [n]
    global_descriptor halfvec,
    indexed_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (image_path, model)
);

-- Little-endian arrays of noise: compressing them costs time and saves nothing.
ALTER TABLE landmarks
    ALTER COLUMN locations SET STORAGE EXTERNAL,
    ALTER COLUMN descriptors SET STORAGE EXTERNAL,
    ALTER COLUMN scales SET STORAGE EXTERNAL,
    ALTER COLUMN attention SET STORAGE EXTERNAL;

-- A search reads one model's rows by ranges of id.
CREATE INDEX landmarks_model_id ON landmarks (model, id);
