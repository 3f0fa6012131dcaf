-- People, their sessions, and the log of what they did. Passwords are argon2id hashes, tokens SHA-256 digests.
CREATE TABLE person (
    name text PRIMARY KEY CHECK (name <> '' AND name = lower(name)),
    role text NOT NULL CHECK (role IN ('accountant', 'carrier', 'inspector', 'operator', 'auditor')),
    carrier_id text CHECK (carrier_id <> ''),
    password text NOT NULL CHECK (password LIKE '$argon2id$%'),
    totp_secret bytea,  -- NULL: no one-time codes asked for
    totp_step bigint NOT NULL DEFAULT 0,  -- the last one used
    revoked boolean NOT NULL DEFAULT false,
    CHECK ((role = 'carrier') = (carrier_id IS NOT NULL))
);

-- Roles are given once. Whoever may write rows still cannot raise anybody.
CREATE FUNCTION person_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.name, new.role, new.carrier_id) IS DISTINCT FROM (old.name, old.role, old.carrier_id) THEN
        RAISE EXCEPTION 'person %: name, role and carrier never change', old.name USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER person_stays BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION person_stays();
CREATE TRIGGER refuses BEFORE DELETE OR TRUNCATE ON person FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();

CREATE TABLE person_session (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    csrf text NOT NULL,
    name text NOT NULL REFERENCES person,
    begun_ms bigint NOT NULL,
    seen_ms bigint NOT NULL
);

CREATE INDEX person_session_of ON person_session (name);

-- Browsers in which somebody has signed in before: guesses made elsewhere do not lock these out.
CREATE TABLE person_browser (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    name text NOT NULL REFERENCES person,
    until_ms bigint NOT NULL
);

CREATE TABLE audit_line (
    number bigint PRIMARY KEY,
    at_ms bigint NOT NULL,
    who text NOT NULL,
    act text NOT NULL,
    subject text NOT NULL,
    detail text NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);

CREATE TABLE audit_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 10);

INSERT INTO audit_head (number, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION audit_line_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE audit_head SET number = new.number, hash = new.hash WHERE number = new.number - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'audit line % does not follow the last one', new.number USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER audit_line_added BEFORE INSERT ON audit_line FOR EACH ROW EXECUTE FUNCTION audit_line_added();
CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_line
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses BEFORE INSERT OR DELETE OR TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses_by_hand BEFORE UPDATE ON audit_head
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_refuses();
