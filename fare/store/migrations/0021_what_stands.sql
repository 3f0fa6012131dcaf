-- What stands of refunds when a ride comes to cost otherwise: rows that nobody asked for set right what was granted.
ALTER TABLE refund DROP CONSTRAINT refund_amount_tiyn_check;
ALTER TABLE refund ADD CONSTRAINT refund_amount_tiyn_check
    CHECK (CASE WHEN key LIKE 'repriced/%' THEN amount_tiyn <> 0 AND state = 'granted' ELSE amount_tiyn > 0 END);

-- Debts that are given up: who asked, why, and who decided.
CREATE TABLE write_off (
    key text PRIMARY KEY CHECK (key <> ''),
    medium_id text NOT NULL CHECK (medium_id <> ''),
    amount_tiyn bigint NOT NULL CHECK (amount_tiyn > 0),
    why text NOT NULL CHECK (why <> ''),
    asked_by text NOT NULL,
    asked_ms bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'granted', 'declined')),
    decided_by text,
    four_eyes boolean NOT NULL,
    of_rides_tiyn bigint CHECK (of_rides_tiyn BETWEEN 0 AND amount_tiyn),  -- of it, what was of rides; once granted
    CHECK (NOT four_eyes OR decided_by <> asked_by),
    CHECK ((state = 'waiting') = (decided_by IS NULL)),
    CHECK ((state = 'granted') = (of_rides_tiyn IS NOT NULL))
);

CREATE INDEX write_off_of ON write_off (medium_id);
CREATE INDEX write_off_by ON write_off (asked_by, asked_ms);

CREATE FUNCTION write_off_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.state <> 'waiting' OR (new.key, new.medium_id, new.amount_tiyn, new.why, new.asked_by, new.asked_ms, new.four_eyes)
        IS DISTINCT FROM (old.key, old.medium_id, old.amount_tiyn, old.why, old.asked_by, old.asked_ms, old.four_eyes) THEN
        RAISE EXCEPTION 'write-off %: what was asked for and decided does not change', old.key
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER stays BEFORE UPDATE ON write_off FOR EACH ROW EXECUTE FUNCTION write_off_stays();
CREATE TRIGGER refuses BEFORE DELETE OR TRUNCATE ON write_off FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();

-- How much of a medium's debts stands as given up: less than was granted once a ride that was not paid is given back, or
-- costs less. The last number of a medium counts.
CREATE TABLE write_off_stands (
    medium_id text NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    stands_tiyn bigint NOT NULL CHECK (stands_tiyn >= 0),
    PRIMARY KEY (medium_id, number)
);

CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON write_off_stands
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
