-- What people at stops reported (docs/stop-page.md). Nothing about the person is kept.
CREATE TABLE problem_report (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL UNIQUE,             -- made by the page: a report that is sent again counts once
    reported_at timestamptz NOT NULL,     -- city time
    time_zone text NOT NULL,              -- of the city, for whoever reads it
    stop_id text NOT NULL,
    trouble text NOT NULL,
    language text NOT NULL,
    route text NOT NULL,
    text text NOT NULL,
    shown text NOT NULL,                  -- JSON: what the page showed, '' where it did not say
    held text NOT NULL,                   -- JSON: the board as the server had it when the report came
    closed_at timestamptz,
    note text NOT NULL DEFAULT ''
);

CREATE INDEX problem_report_open ON problem_report (stop_id) WHERE closed_at IS NULL;
