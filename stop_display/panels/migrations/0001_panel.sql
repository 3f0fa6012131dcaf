-- The fleet of boards. A key is kept only as its digest: it has 128 random bits, so no salt is needed.
CREATE TABLE panel (
    name text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,39}$'),
    key_digest bytea NOT NULL UNIQUE CHECK (length(key_digest) = 32),
    stops text[] NOT NULL CHECK (cardinality(stops) BETWEEN 1 AND 4),
    layout text NOT NULL CHECK (layout IN ('auto', 'columns', 'stacked')),
    language text NOT NULL CHECK (language IN ('kk', 'ru', 'en', 'rotate')),
    volume integer NOT NULL CHECK (volume BETWEEN 0 AND 100),
    hours text NOT NULL,  -- '05:30-00:30', local; '' for always
    theme text NOT NULL CHECK (theme IN ('dark', 'light')),
    note text NOT NULL CHECK (length(note) <= 200),
    reload integer NOT NULL DEFAULT 0,  -- how often it was told to load its page anew
    revoked boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION notify_panel() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY panel;
    RETURN NULL;
END
$$;

CREATE TRIGGER panel_changed AFTER INSERT OR UPDATE OR DELETE ON panel
    FOR EACH STATEMENT EXECUTE FUNCTION notify_panel();

-- The last report of each panel, as JSON of panels.model.Report; milliseconds of the wall. serial: so that each web
-- process reads only what is new.
CREATE SEQUENCE panel_seen;

CREATE TABLE panel_report (
    name text PRIMARY KEY REFERENCES panel ON DELETE CASCADE,
    report bytea NOT NULL,
    at_ms bigint NOT NULL,
    serial bigint NOT NULL DEFAULT nextval('panel_seen')
);

CREATE INDEX panel_report_by_serial ON panel_report (serial);

-- Delays from fix to pixel by five minutes, counted in bins by each web process; name '' is all boards.
CREATE TABLE panel_delay (
    name text NOT NULL,
    slot_ms bigint NOT NULL,
    counted_by text NOT NULL,
    counts integer[] NOT NULL,
    serial bigint NOT NULL DEFAULT nextval('panel_seen'),
    PRIMARY KEY (name, slot_ms, counted_by)
);

CREATE INDEX panel_delay_by_serial ON panel_delay (serial);
