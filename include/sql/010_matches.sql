-- The match graph: pairs of images of one model that were compared and found to agree. A pair goes
-- with either image.
CREATE TABLE landmark_matches (
    first    bigint NOT NULL REFERENCES landmarks ON DELETE CASCADE,
    second   bigint NOT NULL REFERENCES landmarks ON DELETE CASCADE,
    inliers  integer NOT NULL,
    putative integer NOT NULL,
    PRIMARY KEY (first, second),
    CHECK (first < second)
);

CREATE INDEX landmark_matches_second ON landmark_matches (second);

-- What waits to be linked, so that nobody looks for it among all the others.
CREATE TABLE landmark_unlinked (
    image bigint PRIMARY KEY REFERENCES landmarks ON DELETE CASCADE
);

-- New features agree with nothing yet, and those of before with nothing any more.
CREATE FUNCTION landmark_unlink() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM landmark_matches WHERE first = NEW.id;
        DELETE FROM landmark_matches WHERE second = NEW.id;
    END IF;
    INSERT INTO landmark_unlinked VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER landmarks_unlinked AFTER INSERT ON landmarks FOR EACH ROW
    EXECUTE FUNCTION landmark_unlink();
-- Not when an image is described: its features stay.
CREATE TRIGGER landmarks_changed AFTER UPDATE ON landmarks FOR EACH ROW
    WHEN (OLD.indexed_at IS DISTINCT FROM NEW.indexed_at)
    EXECUTE FUNCTION landmark_unlink();

INSERT INTO landmark_unlinked SELECT id FROM landmarks;
