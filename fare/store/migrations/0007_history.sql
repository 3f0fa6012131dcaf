-- Who may read the trips of a medium: whoever presented it at a validator just now, once for each touch.
CREATE TABLE history_opened (
    device_id text NOT NULL,
    sequence bigint NOT NULL,
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),  -- of the token that reads
    medium_id text NOT NULL,
    until_ms bigint NOT NULL,
    PRIMARY KEY (device_id, sequence)
);
