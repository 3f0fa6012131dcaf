-- Media of which rides are stored that nobody has priced yet: from the earliest of these rides on, bills are to be
-- derived anew. Written in the transaction that stores the taps, taken away in the one that posts what they cost.
CREATE TABLE medium_to_charge (
    medium_id text PRIMARY KEY,
    from_ms bigint NOT NULL
);
