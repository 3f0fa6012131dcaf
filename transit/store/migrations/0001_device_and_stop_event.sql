-- Which tracker is which vehicle. A key is kept only as a salted digest.
CREATE TABLE device (
    device_id text PRIMARY KEY CHECK (length(device_id) BETWEEN 1 AND 64),
    vehicle_id text NOT NULL CHECK (vehicle_id <> ''),
    key_salt bytea NOT NULL CHECK (length(key_salt) = 16),
    key_digest bytea NOT NULL CHECK (length(key_digest) = 32),
    enabled boolean NOT NULL DEFAULT true,
    note text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION notify_device() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY device;
    RETURN NULL;
END
$$;

CREATE TRIGGER device_changed AFTER INSERT OR UPDATE OR DELETE ON device
    FOR EACH STATEMENT EXECUTE FUNCTION notify_device();

-- Observed passages in the terms of TIDES stop_visits; times in UTC. Partitions may be added by service date; until
-- then all rows lie in the default one.
CREATE TABLE stop_event (
    service_date date NOT NULL,
    vehicle_id text NOT NULL,
    run_key text NOT NULL,
    stop_sequence integer NOT NULL,
    stop_id text NOT NULL,
    route_id text NOT NULL,
    direction_id smallint NOT NULL,
    trip_id text NOT NULL,
    schedule_arrival_time timestamptz,
    actual_arrival_time timestamptz NOT NULL,
    actual_departure_time timestamptz,
    uncertainty_s real NOT NULL,
    PRIMARY KEY (service_date, vehicle_id, run_key, stop_sequence)
) PARTITION BY RANGE (service_date);

CREATE TABLE stop_event_default PARTITION OF stop_event DEFAULT;

CREATE INDEX stop_event_by_stop ON stop_event (stop_id, service_date);
