-- Validators: who they are, how far their journals are here, and every record as they signed it. Times are epoch
-- milliseconds. "hash" is the chain's after the last record, empty where a disk lost it.
CREATE TABLE validator (
    device_id text PRIMARY KEY CHECK (length(device_id) BETWEEN 1 AND 64),
    vehicle_id text NOT NULL CHECK (vehicle_id <> ''),
    sequence bigint NOT NULL DEFAULT 0 CHECK (sequence >= 0),
    hash bytea NOT NULL CHECK (length(hash) IN (0, 32)),
    handed bigint NOT NULL DEFAULT 0 CHECK (handed BETWEEN 0 AND sequence),  -- taps up to here are with the ledger
    stopped boolean NOT NULL DEFAULT false,  -- after a fork, until a person has looked
    revoked boolean NOT NULL DEFAULT false,
    waiting bigint NOT NULL DEFAULT 0,  -- records the device still had when it was heard last
    heard_ms bigint,
    address text NOT NULL DEFAULT ''
);

CREATE INDEX validator_not_handed ON validator (device_id) WHERE handed < sequence;

CREATE TABLE validator_key (
    key_id text PRIMARY KEY,
    device_id text NOT NULL REFERENCES validator,
    public bytea NOT NULL CHECK (length(public) = 32),
    revoked boolean NOT NULL DEFAULT false
);

CREATE TABLE validator_record (
    device_id text NOT NULL REFERENCES validator,
    sequence bigint NOT NULL CHECK (sequence > 0),
    hash bytea NOT NULL,
    payload bytea NOT NULL,
    standing text NOT NULL CHECK (standing IN ('on_time', 'late', 'quarantined', 'note', 'lost')),
    received_ms bigint NOT NULL,
    released_ms bigint,  -- of a quarantined one: when a person let it go to the ledger
    PRIMARY KEY (device_id, sequence)
);

CREATE INDEX validator_record_quarantined ON validator_record (device_id, sequence)
    WHERE standing = 'quarantined' AND released_ms IS NULL;

CREATE FUNCTION validator_record_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'DELETE' OR old.standing <> 'quarantined' OR old.released_ms IS NOT NULL
        OR (new.device_id, new.sequence, new.hash, new.payload, new.standing, new.received_ms)
            IS DISTINCT FROM (old.device_id, old.sequence, old.hash, old.payload, old.standing, old.received_ms) THEN
        RAISE EXCEPTION 'a record of a validator is never changed';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER validator_record_stays BEFORE UPDATE OR DELETE ON validator_record
    FOR EACH ROW EXECUTE FUNCTION validator_record_stays();

-- Batches with a second history, whole, for who has to find out which one was the bus.
CREATE TABLE validator_evidence (
    evidence_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id text NOT NULL REFERENCES validator,
    at_ms bigint NOT NULL,
    address text NOT NULL,
    forked_at bigint NOT NULL,
    envelope bytea NOT NULL
);

CREATE INDEX validator_evidence_by_device ON validator_evidence (device_id);

CREATE TABLE validator_code (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    device_id text NOT NULL,
    vehicle_id text NOT NULL CHECK (vehicle_id <> ''),
    expires_ms bigint NOT NULL,
    used_by bytea
);

CREATE TABLE validator_document (
    kind text NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    base_version bigint,
    until_ms bigint NOT NULL,
    envelope bytea NOT NULL,
    PRIMARY KEY (kind, name, version)
);
