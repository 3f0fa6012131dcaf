-- Phones that are signed in. No number is kept: a medium is its keyed hash, its hint two digits, and addresses and
-- blocks of numbers, by which codes are counted for a day, are keyed hashes too.
CREATE TABLE phone_code (
    challenge bytea PRIMARY KEY CHECK (length(challenge) = 32),  -- SHA-256 of what the asking browser holds
    medium_id text NOT NULL,
    hint text NOT NULL,
    purpose text NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    asked_ms bigint NOT NULL,
    until_ms bigint NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    used boolean NOT NULL DEFAULT false,
    known_browser boolean NOT NULL,
    address bytea NOT NULL CHECK (length(address) = 32),
    block bytea NOT NULL CHECK (length(block) = 32)
);

CREATE INDEX phone_code_by_time ON phone_code (asked_ms);

CREATE TABLE phone_session (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    medium_id text NOT NULL,
    hint text NOT NULL,
    begun_ms bigint NOT NULL,
    seen_ms bigint NOT NULL
);

CREATE INDEX phone_session_of ON phone_session (medium_id);

-- Browsers in which a number has signed in before: codes that strangers ask for in its name do not lock these out.
CREATE TABLE phone_browser (
    digest bytea NOT NULL CHECK (length(digest) = 32),
    medium_id text NOT NULL,
    until_ms bigint NOT NULL,
    PRIMARY KEY (digest, medium_id)
);

-- A card belongs to the phone that proved it last: who got a lost card back proves it again, and the finder sees it no
-- more.
CREATE TABLE phone_card (
    card_id text PRIMARY KEY,
    medium_id text NOT NULL,
    linked_ms bigint NOT NULL
);

CREATE INDEX phone_card_of ON phone_card (medium_id);
