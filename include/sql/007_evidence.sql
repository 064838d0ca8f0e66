-- A listing is evidence, and may be wrong: what a sweep would have removed, and did not; what it
-- passed over, by reason; how many images changed their etag and not their size.
ALTER TABLE landmarks ADD COLUMN size bigint;                       -- bytes, as listed; null: unknown
ALTER TABLE landmark_sweeps
    ADD COLUMN withheld     bigint NOT NULL DEFAULT 0,              -- rows of objects not listed, kept
    ADD COLUMN had          bigint NOT NULL DEFAULT 0,              -- rows below the prefix before
    ADD COLUMN same_size    bigint NOT NULL DEFAULT 0,              -- of those changed
    ADD COLUMN passed_over  jsonb  NOT NULL DEFAULT '{}';           -- objects by reason
