-- Disputes about rides: as they were opened, and the steps taken, in their order.
CREATE TABLE dispute (
    dispute_id text PRIMARY KEY CHECK (dispute_id <> ''),
    device_id text NOT NULL,
    sequence bigint NOT NULL,
    carrier_id text NOT NULL,
    dispute jsonb NOT NULL
);

CREATE INDEX dispute_of_carrier ON dispute (carrier_id);
CREATE TRIGGER refuses BEFORE DELETE OR TRUNCATE ON dispute FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
