-- Which edges join copies of one photograph. Of edges of before, nobody knows: they are no copies
-- until their images are linked anew.
ALTER TABLE landmark_matches ADD COLUMN is_copy boolean NOT NULL DEFAULT false;
