-- The match kernel of an aggregation, which every search needs, without the rest of its parameters,
-- which are a hundred times as many bytes. Null: they have none, or landmark_index has not come by yet.
ALTER TABLE landmark_aggregations ADD COLUMN kernel bytea;
ALTER TABLE landmark_aggregations ALTER COLUMN kernel SET STORAGE EXTERNAL;
