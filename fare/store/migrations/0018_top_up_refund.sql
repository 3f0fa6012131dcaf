-- Unused top-ups that people of the office ask back for a passenger: who asked, why, and who decided. Once granted,
-- ``reference`` is that of the refund which the bank is asked for (top_up_back).
CREATE TABLE top_up_refund (
    key text PRIMARY KEY CHECK (key <> ''),
    invoice text NOT NULL CHECK (invoice <> ''),
    medium_id text NOT NULL CHECK (medium_id <> ''),
    amount_tiyn bigint NOT NULL CHECK (amount_tiyn > 0),
    why text NOT NULL CHECK (why <> ''),
    asked_by text NOT NULL,
    asked_ms bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'granted', 'declined')),
    decided_by text,
    four_eyes boolean NOT NULL,
    reference text UNIQUE,
    CHECK (NOT four_eyes OR decided_by <> asked_by),
    CHECK ((state = 'waiting') = (decided_by IS NULL)),
    CHECK ((state = 'granted') = (reference IS NOT NULL))
);

CREATE INDEX top_up_refund_by ON top_up_refund (asked_by, asked_ms);

CREATE FUNCTION top_up_refund_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'waiting' OR (NEW.key, NEW.invoice, NEW.medium_id, NEW.amount_tiyn, NEW.why, NEW.asked_by, NEW.asked_ms,
       NEW.four_eyes) IS DISTINCT FROM (OLD.key, OLD.invoice, OLD.medium_id, OLD.amount_tiyn, OLD.why, OLD.asked_by,
       OLD.asked_ms, OLD.four_eyes) THEN
        RAISE EXCEPTION 'refund %: what was asked for and decided does not change', OLD.key
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER stays BEFORE UPDATE ON top_up_refund FOR EACH ROW EXECUTE FUNCTION top_up_refund_stays();
CREATE TRIGGER refuses BEFORE DELETE OR TRUNCATE ON top_up_refund FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
