-- Place of a passage within its run, the first stop being 1 (TIDES trip_stop_sequence); 0: not noted.
ALTER TABLE stop_event ADD COLUMN trip_stop_sequence integer NOT NULL DEFAULT 0;

-- What stop events taught, up to and including a service date. The newest counts; some are kept to go back to.
CREATE TABLE travel_times (
    trained_at timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
    as_of date NOT NULL,
    events bigint NOT NULL,
    data bytea NOT NULL
);
