-- No index depends on the order of a language, which changes with the server's libraries.
ALTER TABLE landmark_sweeps ALTER COLUMN sweep TYPE text COLLATE "C";
ALTER TABLE landmark_sweep_images ALTER COLUMN sweep TYPE text COLLATE "C";
