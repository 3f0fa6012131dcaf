-- What the program never does, nobody does by hand: the chart is the program's, and what was asked, decided, settled or
-- said in a dispute stays as it was. A migration that adds a kind of account disables the trigger for its own insert.
CREATE TRIGGER refuses BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON account_kind
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();

-- Decided once, settled once.
CREATE FUNCTION refund_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.key, new.device_id, new.sequence, new.carrier_id, new.amount_tiyn, new.reason, new.why, new.asked_by,
            new.asked_ms, new.four_eyes)
        IS DISTINCT FROM (old.key, old.device_id, old.sequence, old.carrier_id, old.amount_tiyn, old.reason, old.why,
            old.asked_by, old.asked_ms, old.four_eyes)
        OR old.state <> 'waiting' AND (new.state, new.decided_by, new.service_date)
            IS DISTINCT FROM (old.state, old.decided_by, old.service_date)
        OR old.settled_on IS NOT NULL AND new.settled_on IS DISTINCT FROM old.settled_on THEN
        RAISE EXCEPTION 'refund %: what was asked, decided or settled stays', old.key
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER refund_stays BEFORE UPDATE ON refund FOR EACH ROW EXECUTE FUNCTION refund_stays();

CREATE FUNCTION amnesty_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.amnesty_id, new.from_ms, new.until_ms, new.vehicle_ids, new.route_ids, new.why, new.asked_by, new.asked_ms)
        IS DISTINCT FROM (old.amnesty_id, old.from_ms, old.until_ms, old.vehicle_ids, old.route_ids, old.why,
            old.asked_by, old.asked_ms)
        OR old.granted IS NOT NULL THEN
        RAISE EXCEPTION 'amnesty %: what was asked or decided stays', old.amnesty_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER amnesty_stays BEFORE UPDATE ON amnesty FOR EACH ROW EXECUTE FUNCTION amnesty_stays();

CREATE FUNCTION settled_statement_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.carrier_id, new.service_date, new.part, new.statement, new.journal_key)
        IS DISTINCT FROM (old.carrier_id, old.service_date, old.part, old.statement, old.journal_key)
        OR old.paid_key IS NOT NULL THEN
        RAISE EXCEPTION 'statement of % on %: what was settled or paid stays', old.carrier_id, old.service_date
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER settled_statement_stays BEFORE UPDATE ON settled_statement
    FOR EACH ROW EXECUTE FUNCTION settled_statement_stays();

-- A step is added behind the others, and the state follows.
CREATE FUNCTION dispute_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.dispute_id, new.device_id, new.sequence, new.carrier_id, new.dispute - 'steps' - 'state')
        IS DISTINCT FROM (old.dispute_id, old.device_id, old.sequence, old.carrier_id, old.dispute - 'steps' - 'state')
        OR jsonb_array_length(new.dispute->'steps') IS DISTINCT FROM jsonb_array_length(old.dispute->'steps') + 1
        OR (new.dispute->'steps') - -1 IS DISTINCT FROM old.dispute->'steps' THEN
        RAISE EXCEPTION 'dispute %: what was said stays', old.dispute_id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END
$$;
CREATE TRIGGER dispute_stays BEFORE UPDATE ON dispute FOR EACH ROW EXECUTE FUNCTION dispute_stays();

-- Rides that were received lately, however long ago they were: what is still to be settled is found by it.
CREATE INDEX tap_by_receipt ON tap USING brin (received_at);
