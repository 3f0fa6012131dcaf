-- Write what batches add to the journals of devices; give place and version of those that still stand as said: else
-- nothing of theirs is written. Devices are locked in one order: two who append to the same ones wait, but not in a
-- circle. Taps are noted as handed over: they are stored in the same transaction.
CREATE FUNCTION records_append(devices json, records json) RETURNS TABLE (place integer, version text)
    LANGUAGE sql AS $$
    WITH asked AS (
        SELECT * FROM json_to_recordset(devices) AS a (place integer, device_id text, key_id text, version text,
            before bigint, hash_before text, sequence bigint, hash text, heard_ms bigint, address text, waiting bigint)
    ), locked AS (
        SELECT a.* FROM asked a JOIN validator v ON v.device_id = a.device_id AND v.xmin::text = a.version
            AND v.sequence = a.before AND v.hash = decode(a.hash_before, 'hex')  -- a restored database has versions again
        WHERE EXISTS (
            SELECT FROM validator_key k WHERE k.key_id = a.key_id AND k.device_id = a.device_id AND NOT k.revoked
        )
        ORDER BY v.device_id FOR NO KEY UPDATE OF v
    ), moved AS (
        UPDATE validator v SET sequence = l.sequence, handed = l.sequence, hash = decode(l.hash, 'hex'),
            heard_ms = l.heard_ms, address = l.address, waiting = l.waiting
        FROM locked l WHERE v.device_id = l.device_id RETURNING l.place, v.xmin::text AS version
    ), kept AS (
        INSERT INTO validator_record (device_id, sequence, hash, payload, standing, received_ms)
        SELECT r.device_id, r.sequence, decode(r.hash, 'hex'), decode(r.payload, 'hex'), r.standing, r.received_ms
        FROM json_to_recordset(records) AS r (place integer, device_id text, sequence bigint, hash text, payload text,
            standing text, received_ms bigint)
        JOIN moved m ON m.place = r.place
    )
    SELECT m.place, m.version FROM moved m
$$;

-- taps_lock_and_read (migration 0022), after what the taps are in is written. A further kind of rows, without device and
-- medium: place, as sequence, and version, as vehicle_id, of what was. Devices are locked first, then media.
CREATE FUNCTION taps_record_lock_and_read(devices json, records json, space integer, media text[], of_devices text[],
        sequences bigint[], riding text[], from_ms bigint[])
    RETURNS TABLE (digest bytea, device_id text, sequence bigint, tapped_ms bigint, medium_id text, medium_kind text,
        riders text, vehicle_id text, carrier_id text, route_id text, trip_id text, stop_id text, version integer,
        categories text[], charged_tiyn bigint[], subsidy_tiyn bigint[], journal_key text)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT NULL::bytea, NULL::text, a.place::bigint, NULL::bigint, NULL::text, NULL::text, NULL::text,
            a.version, NULL::text, NULL::text, NULL::text, NULL::text, NULL::integer, NULL::text[], NULL::bigint[],
            NULL::bigint[], NULL::text
        FROM records_append(devices, records) AS a;
    RETURN QUERY SELECT r.* FROM taps_lock_and_read(space, media, of_devices, sequences, riding, from_ms) AS r;
END
$$;
