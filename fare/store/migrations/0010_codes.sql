-- Keys of phones that show a QR of their own, and the QRs that hang in buses. Times are epoch milliseconds.

-- A public key whose owner has proved to hold it. It is never given to another medium; revoked, it stays known as such.
CREATE TABLE phone_key (
    key_id text PRIMARY KEY CHECK (key_id ~ '^[0-9a-f]{16}$'),
    public bytea NOT NULL UNIQUE CHECK (length(public) = 32),
    medium_id text NOT NULL CHECK (medium_id ~ '^[0-9a-f]{32}$'),
    registered_ms bigint NOT NULL,
    until_ms bigint NOT NULL CHECK (until_ms > registered_ms),
    revoked_ms bigint
);

CREATE INDEX phone_key_of_medium ON phone_key (medium_id) WHERE revoked_ms IS NULL;

-- Every code that was ever printed for a bus. Its number is signed into it, so one that hangs elsewhere can be revoked.
CREATE TABLE bus_code (
    issue bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK (issue < 4294967296),
    vehicle_id text NOT NULL CHECK (vehicle_id <> ''),
    issued_ms bigint NOT NULL,
    revoked_ms bigint
);

CREATE INDEX bus_code_of_vehicle ON bus_code (vehicle_id) WHERE revoked_ms IS NULL;

-- When inspectors were shown what a tap paid for. Rows go when the ride is long over.
CREATE TABLE inspection_shown (
    showing_id text PRIMARY KEY CHECK (length(showing_id) BETWEEN 1 AND 64),  -- made by the inspector's phone
    device_id text NOT NULL,
    sequence bigint NOT NULL,
    person_id text NOT NULL,
    at_ms bigint NOT NULL
);

CREATE INDEX inspection_shown_of_tap ON inspection_shown (device_id, sequence);
CREATE INDEX inspection_shown_by_time ON inspection_shown USING brin (at_ms);
