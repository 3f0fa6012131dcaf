-- What a person decided about a quarantined tap: when it really was (NULL: it is dropped) and why. Decided once, and
-- with a time nobody can have tapped at it is not decided at all; the books have it from "handed_ms" on.
CREATE TABLE validator_release (
    device_id text NOT NULL,
    sequence bigint NOT NULL,
    at_ms bigint CHECK (at_ms BETWEEN 1577836800000 AND decided_ms),  -- not before 2020, not in the future
    decided_ms bigint NOT NULL,
    who text NOT NULL CHECK (who <> ''),
    why text NOT NULL CHECK (why <> ''),
    handed_ms bigint CHECK (handed_ms IS NULL OR at_ms IS NOT NULL),
    PRIMARY KEY (device_id, sequence),
    FOREIGN KEY (device_id, sequence) REFERENCES validator_record
);

CREATE INDEX validator_release_to_hand ON validator_release (device_id, sequence)
    WHERE at_ms IS NOT NULL AND handed_ms IS NULL;

CREATE FUNCTION validator_release_decides() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE validator_record SET released_ms = new.decided_ms
    WHERE (device_id, sequence) = (new.device_id, new.sequence) AND standing = 'quarantined' AND released_ms IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'record %:% does not wait for a decision', new.device_id, new.sequence
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;

CREATE FUNCTION validator_release_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.handed_ms IS NOT NULL
        OR (new.device_id, new.sequence, new.at_ms, new.decided_ms, new.who, new.why)
            IS DISTINCT FROM (old.device_id, old.sequence, old.at_ms, old.decided_ms, old.who, old.why) THEN
        RAISE EXCEPTION 'a decision about a quarantined record is never changed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER validator_release_decides BEFORE INSERT ON validator_release
    FOR EACH ROW EXECUTE FUNCTION validator_release_decides();
CREATE TRIGGER validator_release_stays BEFORE UPDATE ON validator_release
    FOR EACH ROW EXECUTE FUNCTION validator_release_stays();
CREATE TRIGGER refuses BEFORE DELETE OR TRUNCATE ON validator_release
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();

-- A record is released by a decision above and by nothing else: one released by hand would be in no list any more.
CREATE OR REPLACE FUNCTION validator_record_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'DELETE' OR pg_trigger_depth() < 2 OR old.standing <> 'quarantined' OR old.released_ms IS NOT NULL
        OR (new.device_id, new.sequence, new.hash, new.payload, new.standing, new.received_ms)
            IS DISTINCT FROM (old.device_id, old.sequence, old.hash, old.payload, old.standing, old.received_ms) THEN
        RAISE EXCEPTION 'a record of a validator is never changed';
    END IF;
    RETURN new;
END
$$;
