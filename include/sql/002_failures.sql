-- Images that could not be used, and why. A row goes when its image succeeds or disappears.
CREATE TABLE landmark_failures (
    image_path      text COLLATE "C" NOT NULL,
    model           text COLLATE "C" NOT NULL,
    etag            text NOT NULL,
    reason          text NOT NULL,
    attempts        integer NOT NULL DEFAULT 1,
    first_failed_at timestamptz NOT NULL DEFAULT now(),
    last_failed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (image_path, model)
);
