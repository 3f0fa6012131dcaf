-- Settlement: days that are closed, what was settled of each ride, statements, refunds, amnesties, comparisons with the
-- files of others. What was settled stays: what comes late, or costs otherwise later, is settled as a difference.
INSERT INTO account_kind (kind, side, overdraft_tiyn) VALUES ('commission', -1, NULL);

CREATE TABLE settled_day (
    service_date date PRIMARY KEY,
    closed_ms bigint NOT NULL,
    closed_by text NOT NULL
);

CREATE TABLE settled_statement (
    carrier_id text NOT NULL,
    service_date date NOT NULL REFERENCES settled_day,
    part text NOT NULL CHECK (part IN ('day', 'late')),
    statement jsonb NOT NULL,
    journal_key text UNIQUE,  -- NULL: nothing moved
    paid_key text UNIQUE,  -- of the journal that paid it out
    PRIMARY KEY (carrier_id, service_date, part)
);

-- version: of ride_charge when the ride was settled, 0 for a ride that had none.
CREATE TABLE settled_ride (
    device_id text NOT NULL,
    sequence bigint NOT NULL,
    version integer NOT NULL CHECK (version >= 0),
    service_date date NOT NULL REFERENCES settled_day,  -- on whose statement it is
    amnesty_id text NOT NULL,
    charges jsonb NOT NULL,
    PRIMARY KEY (device_id, sequence, version)
);

CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON settled_day
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON settled_ride
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses BEFORE DELETE OR TRUNCATE ON settled_statement
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();

CREATE TABLE amnesty (
    amnesty_id text PRIMARY KEY,
    from_ms bigint NOT NULL,
    until_ms bigint NOT NULL,
    vehicle_ids text[] NOT NULL,
    route_ids text[] NOT NULL,
    why text NOT NULL CHECK (why <> ''),
    asked_by text NOT NULL,
    asked_ms bigint NOT NULL,
    decided_by text,
    decided_ms bigint,
    granted boolean,
    CHECK (from_ms < until_ms),
    CHECK (decided_by <> asked_by),
    CHECK ((decided_by IS NULL) = (granted IS NULL))
);

CREATE TABLE refund (
    key text PRIMARY KEY,
    device_id text NOT NULL,
    sequence bigint NOT NULL,
    carrier_id text NOT NULL,
    amount_tiyn bigint NOT NULL CHECK (amount_tiyn > 0),
    reason text NOT NULL CHECK (reason IN ('amnesty', 'complaint', 'chargeback', 'correction')),
    service_date date NOT NULL,
    why text NOT NULL,
    asked_by text NOT NULL,
    asked_ms bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'granted', 'declined')),
    decided_by text,
    four_eyes boolean NOT NULL,
    settled_on date REFERENCES settled_day,
    CHECK (NOT four_eyes OR decided_by <> asked_by),
    CHECK ((state = 'waiting') = (decided_by IS NULL))
);

CREATE INDEX refund_of_ride ON refund (device_id, sequence);
CREATE INDEX refund_unsettled ON refund (key) WHERE state = 'granted' AND settled_on IS NULL;
CREATE INDEX refund_waiting ON refund (asked_ms) WHERE state = 'waiting';
CREATE TRIGGER refuses BEFORE DELETE OR TRUNCATE ON refund FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses BEFORE DELETE OR TRUNCATE ON amnesty FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();

CREATE TABLE reconciliation (
    reconciliation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL,
    from_ms bigint NOT NULL,
    until_ms bigint NOT NULL,
    file_name text NOT NULL,
    file_sha256 bytea NOT NULL CHECK (length(file_sha256) = 32),
    at_ms bigint NOT NULL,
    by text NOT NULL
);

CREATE TABLE reconciliation_line (
    reconciliation_id bigint NOT NULL REFERENCES reconciliation,
    reference text NOT NULL,
    finding text NOT NULL,
    ours_tiyn bigint NOT NULL,
    theirs_tiyn bigint NOT NULL,
    rows integer[] NOT NULL,
    PRIMARY KEY (reconciliation_id, reference)
);

CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliation_line
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
