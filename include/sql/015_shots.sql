-- Where and when photographs say that they were taken (EXIF), of those read from now on.
ALTER TABLE landmarks
    ADD COLUMN latitude  double precision,     -- degrees of WGS 84, north positive
    ADD COLUMN longitude double precision,     -- east positive
    ADD COLUMN taken_at  timestamp;            -- by the camera's clock, without a zone
