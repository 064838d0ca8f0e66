-- How many inliers random pairs of a model's images have that show different places: by it searches
-- know what chance gives. Measured on the table itself, some more pairs each night.
CREATE TABLE landmark_chance (
    model       text COLLATE "C" PRIMARY KEY,
    nights      integer NOT NULL,              -- so far; each draws other pairs
    pairs       bigint NOT NULL,
    histogram   bigint[] NOT NULL,             -- pairs with 0, 1, … inliers
    measured_at timestamptz NOT NULL
);
