-- How what boards were told compared with what happened: sums, so that days and routes add up (docs/live-accuracy.md).
-- Seconds; errors are actual minus predicted. ahead: minutes the prediction looked ahead, '0-3' to '12-30'.
CREATE TABLE prediction_accuracy (
    service_date date NOT NULL,
    route_id text NOT NULL,
    ahead text NOT NULL,
    predictions bigint NOT NULL,
    off_s double precision NOT NULL,
    late_s double precision NOT NULL,
    accurate bigint NOT NULL,
    bounded bigint NOT NULL,
    covered bigint NOT NULL,
    width_s double precision NOT NULL,
    PRIMARY KEY (service_date, route_id, ahead)
);

-- The same for passings, and for predictions that no passing belongs to.
CREATE TABLE passing_accuracy (
    service_date date NOT NULL,
    route_id text NOT NULL,
    passings bigint NOT NULL,
    foretold bigint NOT NULL,
    under_way bigint NOT NULL,
    foretold_under_way bigint NOT NULL,
    countdowns bigint NOT NULL,
    rises bigint NOT NULL,
    passed bigint NOT NULL,
    phantoms bigint NOT NULL,
    holes bigint NOT NULL,
    unknown bigint NOT NULL,
    PRIMARY KEY (service_date, route_id)
);

-- What was added last, slice by slice of city time: the newest says up to when all is counted, the last hour is a sum.
CREATE TABLE accuracy_slice (
    until timestamptz PRIMARY KEY,
    since timestamptz NOT NULL,
    tallies bytea NOT NULL
);

-- Stop events of the last hours, in a table that grows in order of time.
CREATE INDEX stop_event_by_time ON stop_event USING brin (actual_arrival_time);
