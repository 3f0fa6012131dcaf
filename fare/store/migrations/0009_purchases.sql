-- What is written on buses: fleet number and plate, as riders type them (fare.vehicles.vehicle_code). One code names one
-- vehicle, whether it is a number or a plate.
CREATE TABLE vehicle (
    vehicle_id text PRIMARY KEY CHECK (vehicle_id <> ''),
    fleet_number text NOT NULL,
    plate text NOT NULL
);

CREATE TABLE vehicle_code (
    code text PRIMARY KEY CHECK (code <> ''),
    vehicle_id text NOT NULL REFERENCES vehicle ON DELETE CASCADE
);

CREATE INDEX vehicle_code_of ON vehicle_code (vehicle_id);

-- Rides bought without a validator, by their keys. Written in the transaction that stores and charges the ride, so a
-- purchase is here if and only if it was paid. The sequence numbers the taps of the devices "phone" and "sms"; it has gaps.
CREATE SEQUENCE purchase_sequence;

CREATE TABLE purchase (
    key text PRIMARY KEY CHECK (key <> ''),
    medium_id text NOT NULL,
    vehicle_id text NOT NULL,
    asked_ms bigint NOT NULL,
    purchase jsonb NOT NULL,
    ticket jsonb NOT NULL
);

CREATE INDEX purchase_of_medium ON purchase (medium_id, asked_ms);
CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON purchase
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
