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

-- What was asked of mobile operators, kept before its first byte is sent. A charge enters the books in the transaction
-- that makes it "entered"; one that did not can only be given back. The number goes when nothing is left to be asked.
CREATE TABLE operator_charge (
    key text PRIMARY KEY CHECK (key <> ''),
    operator text NOT NULL,
    number text NOT NULL,
    medium_id text NOT NULL,
    amount_tiyn bigint NOT NULL CHECK (amount_tiyn > 0),
    asked_ms bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('asked', 'charged', 'entered', 'refused', 'reversing', 'reversed')),
    reference text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT ''
);

CREATE INDEX operator_charge_open ON operator_charge (asked_ms) WHERE state IN ('asked', 'charged', 'reversing');

-- Messages. Number and text of one that is answered are gone; what stays is which medium sent something when, for limits.
CREATE TABLE sms_incoming (
    key text PRIMARY KEY,  -- of all by which a message that comes again is known again
    operator text NOT NULL,
    medium_id text NOT NULL,
    number text NOT NULL,
    short_code text NOT NULL,
    text text NOT NULL,
    asked_ms bigint NOT NULL,
    received_ms bigint NOT NULL,
    outcome text,  -- NULL: not answered yet
    sold boolean NOT NULL DEFAULT false,  -- its ride is in the books: its answer can be nothing but the ticket
    wrong boolean NOT NULL DEFAULT false  -- a number that nothing has
);

CREATE INDEX sms_incoming_of_medium ON sms_incoming (medium_id, received_ms);
CREATE INDEX sms_incoming_open ON sms_incoming (received_ms) WHERE outcome IS NULL;

-- What else a number has sent in two windows of time before a message.
CREATE FUNCTION sms_lately(
    of_medium text, but_key text, until_ms bigint, window_ms bigint, wrong_window_ms bigint,
    OUT messages bigint, OUT wrong bigint
) STABLE LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE m.received_ms > until_ms - window_ms),
        count(*) FILTER (WHERE m.wrong AND m.received_ms > until_ms - wrong_window_ms)
    FROM sms_incoming m
    WHERE m.medium_id = of_medium AND m.key <> but_key
        AND m.received_ms > until_ms - greatest(window_ms, wrong_window_ms)
$$;

CREATE TABLE sms_outgoing (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    answers text NOT NULL UNIQUE,  -- one answer to one message
    operator text NOT NULL,
    number text NOT NULL,
    short_code text NOT NULL,
    text text NOT NULL,
    made_ms bigint NOT NULL,
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'handed_over', 'delivered', 'failed')),
    leased_until_ms bigint NOT NULL,  -- until then somebody is handing it over
    centre_id text  -- by which the operator's centre names it
);

CREATE INDEX sms_outgoing_due ON sms_outgoing (operator, leased_until_ms) WHERE state = 'due';
CREATE INDEX sms_outgoing_by_centre ON sms_outgoing (operator, centre_id) WHERE centre_id IS NOT NULL;
CREATE INDEX sms_outgoing_shown ON sms_outgoing (made_ms) WHERE number <> '';

CREATE TABLE sms_rider (
    medium_id text PRIMARY KEY,
    language text NOT NULL,
    silent boolean NOT NULL DEFAULT false  -- has sent СТОП, and no command since
);
