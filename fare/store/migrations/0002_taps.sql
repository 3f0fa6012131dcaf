-- Taps as devices recorded them, with the place that the server found. (device_id, sequence) names a tap: the same
-- again is a repetition, another one under the same name a fork. Facts do not change: rows are only added.
CREATE TABLE tap (
    device_id text NOT NULL CHECK (device_id <> ''),
    sequence bigint NOT NULL CHECK (sequence > 0),
    tapped_ms bigint NOT NULL,
    medium_id text NOT NULL,
    medium_kind text NOT NULL,
    outcome text NOT NULL,
    rides boolean NOT NULL,  -- a ride began: what a tariff prices
    riders jsonb,  -- [{"category": …, "count": …}, …]; NULL: one rider as the medium's profile says
    vehicle_id text NOT NULL,
    carrier_id text NOT NULL,
    route_id text NOT NULL,
    trip_id text NOT NULL,
    stop_id text NOT NULL,
    shown_tiyn bigint NOT NULL,
    tariff_version text NOT NULL,
    deny_list_version bigint NOT NULL,
    counter bigint NOT NULL,
    digest bytea NOT NULL,  -- SHA-256 of what the device said
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device_id, sequence)
);

CREATE INDEX tap_of_medium ON tap (medium_id, tapped_ms) WHERE rides;
CREATE INDEX tap_by_time ON tap USING brin (tapped_ms);

-- What was posted for a ride, version by version; the last one counts. A ride that never cost anything has none. No
-- foreign key: taps are never deleted, and it would lock every tap's row anew.
CREATE TABLE ride_charge (
    device_id text NOT NULL,
    sequence bigint NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    categories text[] NOT NULL,
    charged_tiyn bigint[] NOT NULL,
    subsidy_tiyn bigint[] NOT NULL,
    journal_key text,  -- NULL: nothing moved; the ledger sees to it that a key is used once
    posted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device_id, sequence, version),
    CHECK (cardinality(charged_tiyn) = cardinality(categories)),
    CHECK (cardinality(subsidy_tiyn) = cardinality(categories))
);

CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON tap FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON ride_charge
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
