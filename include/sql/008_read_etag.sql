-- What reading an image gave as its version, where servers list another: what a search compares.
ALTER TABLE landmarks ADD COLUMN read_etag text;                    -- null: the one that was listed
