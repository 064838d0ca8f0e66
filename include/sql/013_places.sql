-- Places: groups of images that show one, communities of the match graph. A place keeps its id, and
-- what people wrote of it, while images come and go.
CREATE TABLE landmark_places (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model          text COLLATE "C" NOT NULL,
    images         integer NOT NULL DEFAULT 0,   -- as it was grouped last
    newest         timestamptz,                  -- when its newest image was indexed
    representative bigint REFERENCES landmarks ON DELETE SET NULL,   -- the best connected image
    name           text,
    note           text,
    joined_into    bigint REFERENCES landmark_places ON DELETE SET NULL,
    grouped_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX landmark_places_biggest ON landmark_places (model, images DESC, id);
CREATE INDEX landmark_places_joined ON landmark_places (joined_into);
CREATE INDEX landmark_places_representative ON landmark_places (representative);

CREATE TABLE landmark_place_images (
    image bigint PRIMARY KEY REFERENCES landmarks ON DELETE CASCADE,
    place bigint NOT NULL REFERENCES landmark_places ON DELETE CASCADE
);

CREATE INDEX landmark_place_images_place ON landmark_place_images (place);

-- Whose pairs have changed since they were grouped. Rows are only added, and deleted by who has
-- grouped them: so nobody who writes pairs waits for another, and an image may be named twice, or
-- be gone.
CREATE TABLE landmark_ungrouped (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    image bigint NOT NULL
);

CREATE INDEX landmark_ungrouped_image ON landmark_ungrouped (image);

CREATE FUNCTION landmark_ungroup() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO landmark_ungrouped (image)
    SELECT first FROM changed UNION SELECT second FROM changed;
    RETURN NULL;
END
$$;

CREATE TRIGGER landmark_matches_added AFTER INSERT ON landmark_matches
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION landmark_ungroup();
CREATE TRIGGER landmark_matches_changed AFTER UPDATE ON landmark_matches
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION landmark_ungroup();
CREATE TRIGGER landmark_matches_removed AFTER DELETE ON landmark_matches
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION landmark_ungroup();

-- What people say counts as pairs do.
CREATE FUNCTION landmark_ungroup_said() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO landmark_ungrouped (image)
    SELECT id FROM landmarks WHERE image_path IN (NEW.first, NEW.second);
    RETURN NULL;
END
$$;

CREATE TRIGGER landmark_corrections_ungroup AFTER INSERT OR UPDATE ON landmark_corrections
    FOR EACH ROW EXECUTE FUNCTION landmark_ungroup_said();

INSERT INTO landmark_ungrouped (image)
SELECT first FROM landmark_matches UNION SELECT second FROM landmark_matches;

-- With how many inliers a pair was half sure when the model's images were grouped; null: never.
ALTER TABLE landmark_models ADD COLUMN grouped_by integer;
