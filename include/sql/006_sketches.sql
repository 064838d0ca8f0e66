-- What orders those images that are nearest by global descriptor: see landmark.match_kernel.
-- Images have none until landmark_index has described them anew, which goes on beside searches.
ALTER TABLE landmarks ADD COLUMN sketch bytea;
ALTER TABLE landmarks ALTER COLUMN sketch SET STORAGE EXTERNAL;
