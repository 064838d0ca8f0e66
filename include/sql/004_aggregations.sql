-- What makes an image's global descriptor of its local ones: measured on a sample of a model's
-- images, anew as the table grows. Descriptors of different numbers are never compared.
CREATE TABLE landmark_aggregations (
    number      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model       text COLLATE "C" NOT NULL,
    dimensions  integer NOT NULL,              -- of the global descriptors
    images      bigint NOT NULL,               -- that the model had when it was measured
    parameters  bytea,                         -- landmark.aggregation; null: the model's own
    measured_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE landmark_aggregations ALTER COLUMN parameters SET STORAGE EXTERNAL;

-- By which its global_descriptor was made; null: it has none yet.
ALTER TABLE landmarks ADD COLUMN aggregation integer REFERENCES landmark_aggregations;

-- Moment matrices of local descriptors, which landmark_index replaces. What a model gave itself
-- has another length, and stays.
UPDATE landmarks SET global_descriptor = NULL
WHERE n_features > 0
  AND 2 * vector_dims(global_descriptor)
    = (length(descriptors) / 2 / n_features) * (length(descriptors) / 2 / n_features + 1);

-- What waits to be described, and is on no shortlist.
CREATE INDEX landmarks_undescribed ON landmarks (model, id) WHERE aggregation IS NULL;

CREATE INDEX landmarks_aggregation ON landmarks (aggregation, id);

-- The newest image of a model, without a look at the others.
CREATE INDEX landmarks_model_indexed_at ON landmarks (model, indexed_at);
