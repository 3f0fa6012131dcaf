-- Who holds a medium (rights, passes, blocks) and what inspectors did. Times are epoch milliseconds.

-- A medium that a counter has seen. It need not be here to ride: then it is an adult's.
CREATE TABLE medium (
    medium_id text PRIMARY KEY CHECK (medium_id ~ '^[0-9a-f]{32}$'),
    blocked boolean NOT NULL DEFAULT false,  -- lost, stolen: on the deny list
    known_ms bigint NOT NULL
);

CREATE INDEX medium_blocked ON medium (medium_id) WHERE blocked;

CREATE TABLE medium_concession (
    medium_id text NOT NULL REFERENCES medium,
    category text NOT NULL CHECK (category <> ''),
    from_date text NOT NULL CHECK (from_date ~ '^\d{4}-\d\d-\d\d$'),
    until_date text NOT NULL CHECK (until_date ~ '^(\d{4}-\d\d-\d\d)?$'),  -- '': for ever
    evidence text NOT NULL,  -- a reference, never the document
    PRIMARY KEY (medium_id, category, from_date)
);

CREATE TABLE medium_pass (
    medium_id text NOT NULL REFERENCES medium,
    product_id text NOT NULL CHECK (product_id <> ''),
    from_ms bigint NOT NULL,
    until_ms bigint NOT NULL CHECK (until_ms > from_ms),
    PRIMARY KEY (medium_id, product_id, from_ms)
);

-- Inspectors sign in with a number and a PIN, which is kept as scrypt of it.
CREATE TABLE inspector (
    person_id text PRIMARY KEY CHECK (person_id <> ''),
    role text NOT NULL CHECK (role IN ('inspector', 'officer')),
    salt bytea NOT NULL CHECK (length(salt) = 16),
    digest bytea NOT NULL CHECK (length(digest) = 32)
);

CREATE TABLE inspector_session (
    token_digest bytea PRIMARY KEY CHECK (length(token_digest) = 32),
    person_id text NOT NULL REFERENCES inspector,
    until_ms bigint NOT NULL
);

-- That somebody asked about a vehicle, and what the answer was: never whose code it was.
CREATE TABLE inspection_look (
    look_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id text NOT NULL,
    vehicle_id text NOT NULL,
    standing text NOT NULL,
    at_ms bigint NOT NULL
);

-- Warnings, protocols and appeals in one chain of hashes. "entry" is JSON as it was hashed.
CREATE TABLE inspection_record (
    sequence bigint PRIMARY KEY CHECK (sequence > 0),
    entry_id text NOT NULL UNIQUE,
    case_id text NOT NULL,
    entry text NOT NULL,
    previous text NOT NULL,
    digest text NOT NULL
);

CREATE INDEX inspection_record_of_case ON inspection_record (case_id, sequence);

CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON inspection_look
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON inspection_record
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
