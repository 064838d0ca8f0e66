-- Each model, how it is loaded again, and which one searches use: the latest `searched_since`.
CREATE TABLE landmark_models (
    model          text COLLATE "C" PRIMARY KEY,
    config         jsonb,                      -- landmark.models; null: indexed before this table
    searched_since timestamptz                 -- null: searches have not used it yet
);

-- Images and features by model and day (UTC of indexed_at), so that nobody needs to count them. To
-- be summed up: each change of `landmarks` adds a row, which waits for no other; landmark_index
-- folds them.
CREATE TABLE landmark_counts (
    model    text COLLATE "C" NOT NULL,
    day      date NOT NULL,
    images   bigint NOT NULL,
    features bigint NOT NULL
);

CREATE FUNCTION landmark_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        INSERT INTO landmark_counts
        SELECT model, (indexed_at AT TIME ZONE 'UTC')::date, count(*), sum(n_features)
        FROM changed GROUP BY 1, 2;
    WHEN 'DELETE' THEN
        INSERT INTO landmark_counts
        SELECT model, (indexed_at AT TIME ZONE 'UTC')::date, -count(*), -sum(n_features)
        FROM changed GROUP BY 1, 2;
    WHEN 'UPDATE' THEN
        INSERT INTO landmark_counts VALUES
        (OLD.model, (OLD.indexed_at AT TIME ZONE 'UTC')::date, -1, -OLD.n_features),
        (NEW.model, (NEW.indexed_at AT TIME ZONE 'UTC')::date, 1, NEW.n_features);
    WHEN 'TRUNCATE' THEN
        DELETE FROM landmark_counts;
    END CASE;
    RETURN NULL;
END
$$;

-- Locks: from here to the end of the migration writers wait, while searches read on. The rows, not
-- their blobs, are read once: about a second for a million, a minute from a slow disk.
CREATE TRIGGER landmarks_inserted AFTER INSERT ON landmarks REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION landmark_count();
CREATE TRIGGER landmarks_deleted AFTER DELETE ON landmarks REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION landmark_count();
-- Not when an image is described: that counts nothing.
CREATE TRIGGER landmarks_updated AFTER UPDATE ON landmarks FOR EACH ROW
    WHEN ((OLD.model, OLD.indexed_at, OLD.n_features)
        IS DISTINCT FROM (NEW.model, NEW.indexed_at, NEW.n_features))
    EXECUTE FUNCTION landmark_count();
CREATE TRIGGER landmarks_truncated AFTER TRUNCATE ON landmarks
    FOR EACH STATEMENT EXECUTE FUNCTION landmark_count();

INSERT INTO landmark_counts
SELECT model, (indexed_at AT TIME ZONE 'UTC')::date, count(*), sum(n_features)
FROM landmarks GROUP BY 1, 2;

-- Searches go on with the model that was completed last.
INSERT INTO landmark_models (model, searched_since)
SELECT model,
    (SELECT max(finished_at) FROM landmark_sweeps AS sweep
     WHERE sweep.model = counted.model AND postponed = 0
       AND new + changed + retried = indexed + failed + gone)
FROM (SELECT DISTINCT model FROM landmark_counts) AS counted;
