-- A record names a validator that is there. This was looked up for each of 500 records of a batch, which took as long as
-- all else that becomes of them; a statement is one batch, or a few, so it is looked up for each validator of these. The
-- other half of the rule: a validator stays, under its name.
ALTER TABLE validator_record DROP CONSTRAINT validator_record_device_id_fkey;

CREATE FUNCTION validator_record_named() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unknown text;
BEGIN
    SELECT n.device_id INTO unknown FROM (SELECT DISTINCT a.device_id FROM added a) AS n
    WHERE NOT EXISTS (SELECT FROM validator v WHERE v.device_id = n.device_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'record of validator %: there is no such validator', unknown
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER named AFTER INSERT ON validator_record REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION validator_record_named();

CREATE FUNCTION validator_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a validator stays, under its name: it may be revoked' USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON validator FOR EACH STATEMENT EXECUTE FUNCTION validator_stays();
CREATE TRIGGER keeps_its_name BEFORE UPDATE OF device_id ON validator
    FOR EACH STATEMENT EXECUTE FUNCTION validator_stays();

-- What charging reads, in one question instead of three or four: a live tap is mostly questions that wait for each other.
-- Locks are taken first; each statement of a function sees what was committed before it began, so what is read after
-- them is what those who had the locks have left.
CREATE FUNCTION media_lock(space integer, media text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(space, hash)
    FROM (SELECT DISTINCT hashtext(name) AS hash FROM unnest(media) AS name ORDER BY hash) AS names;
END
$$;

-- Rides of media, each from its moment on, with each version of what was posted for them.
CREATE FUNCTION rides_since(media text[], from_ms bigint[])
    RETURNS TABLE (device_id text, sequence bigint, tapped_ms bigint, medium_id text, medium_kind text, riders text,
        vehicle_id text, carrier_id text, route_id text, trip_id text, stop_id text, version integer,
        categories text[], charged_tiyn bigint[], subsidy_tiyn bigint[], journal_key text)
    STABLE LANGUAGE sql AS $$
    SELECT t.device_id, t.sequence, t.tapped_ms, t.medium_id, t.medium_kind, t.riders::text, t.vehicle_id,
        t.carrier_id, t.route_id, t.trip_id, t.stop_id, c.version, c.categories, c.charged_tiyn, c.subsidy_tiyn,
        c.journal_key
    FROM unnest(media, from_ms) AS w (medium_id, since_ms)
    JOIN tap t ON t.medium_id = w.medium_id AND t.tapped_ms >= w.since_ms AND t.rides
    LEFT JOIN ride_charge c ON c.device_id = t.device_id AND c.sequence = t.sequence
$$;

-- Three kinds of rows: taps that are known, which have a digest; rides, as rides_since gives them; media of which a debt
-- was ever given up, which have no device. of_devices and sequences name taps.
CREATE FUNCTION taps_lock_and_read(space integer, media text[], of_devices text[], sequences bigint[],
        riding text[], from_ms bigint[])
    RETURNS TABLE (digest bytea, device_id text, sequence bigint, tapped_ms bigint, medium_id text, medium_kind text,
        riders text, vehicle_id text, carrier_id text, route_id text, trip_id text, stop_id text, version integer,
        categories text[], charged_tiyn bigint[], subsidy_tiyn bigint[], journal_key text)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM media_lock(space, media);
    RETURN QUERY SELECT t.digest, t.device_id, t.sequence, NULL::bigint, NULL::text, NULL::text, NULL::text,
            NULL::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::integer, NULL::text[], NULL::bigint[],
            NULL::bigint[], NULL::text
        FROM unnest(of_devices, sequences) AS asked (device_id, sequence)
        JOIN tap t ON t.device_id = asked.device_id AND t.sequence = asked.sequence;
    IF cardinality(riding) > 0 THEN
        RETURN QUERY SELECT NULL::bytea, r.* FROM rides_since(riding, from_ms) AS r;
        RETURN QUERY SELECT DISTINCT NULL::bytea, NULL::text, NULL::bigint, NULL::bigint, w.medium_id, NULL::text,
                NULL::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::integer, NULL::text[],
                NULL::bigint[], NULL::bigint[], NULL::text
            FROM write_off w WHERE w.medium_id = ANY (riding) AND w.state = 'granted';
    END IF;
END
$$;

-- The same for those of media that are noted to be charged, and with this transaction no longer are: their rides since
-- past_ms before the moment that was noted. A first kind of rows instead of taps: that moment, as tapped_ms.
CREATE FUNCTION media_take_and_read(space integer, media text[], past_ms bigint)
    RETURNS TABLE (device_id text, sequence bigint, tapped_ms bigint, medium_id text, medium_kind text, riders text,
        vehicle_id text, carrier_id text, route_id text, trip_id text, stop_id text, version integer,
        categories text[], charged_tiyn bigint[], subsidy_tiyn bigint[], journal_key text)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    taken text[];
    taken_ms bigint[];
BEGIN
    PERFORM media_lock(space, media);
    WITH gone AS (
        DELETE FROM medium_to_charge m USING unnest(media) AS asked (medium_id)
        WHERE m.medium_id = asked.medium_id RETURNING m.medium_id, m.from_ms
    )
    SELECT array_agg(g.medium_id), array_agg(g.from_ms) INTO taken, taken_ms FROM gone g;
    IF taken IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT NULL::text, NULL::bigint, g.from_ms, g.medium_id, NULL::text, NULL::text, NULL::text,
            NULL::text, NULL::text, NULL::text, NULL::text, NULL::integer, NULL::text[], NULL::bigint[],
            NULL::bigint[], NULL::text
        FROM unnest(taken, taken_ms) AS g (medium_id, from_ms);
    RETURN QUERY SELECT r.* FROM rides_since(taken, ARRAY(SELECT ms - past_ms FROM unnest(taken_ms) AS ms)) AS r;
    RETURN QUERY SELECT DISTINCT NULL::text, NULL::bigint, NULL::bigint, w.medium_id, NULL::text, NULL::text,
            NULL::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::integer, NULL::text[], NULL::bigint[],
            NULL::bigint[], NULL::text
        FROM write_off w WHERE w.medium_id = ANY (taken) AND w.state = 'granted';
END
$$;
