-- What was asked of the acquirer, kept before its first byte is sent. A result is final once it is known, but for an
-- approval that is taken back. The number names one message of its day: when all of a day are used up, the next is refused.
CREATE SEQUENCE card_attempt_stan AS integer MINVALUE 1 MAXVALUE 999999 CYCLE;

CREATE TABLE card_attempt (
    key text PRIMARY KEY CHECK (key <> ''),
    request bytea NOT NULL,
    stan integer NOT NULL DEFAULT nextval('card_attempt_stan'),
    sent_ms bigint NOT NULL,
    sent_day integer NOT NULL GENERATED ALWAYS AS ((sent_ms / 86400000)::integer) STORED,
    answered text,
    result bytea,
    begun bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    CHECK ((answered IS NULL) = (result IS NULL)),
    UNIQUE (sent_day, stan)
);

CREATE INDEX card_attempt_owed ON card_attempt (begun) WHERE answered IS NULL OR answered = 'unknown';

CREATE FUNCTION keep_final_result() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.key, NEW.request, NEW.stan, NEW.sent_ms) IS DISTINCT FROM (OLD.key, OLD.request, OLD.stan, OLD.sent_ms) THEN
        RAISE EXCEPTION 'card attempt %: what was asked does not change', OLD.key;
    END IF;
    IF OLD.answered IS NOT NULL AND OLD.answered <> 'unknown' AND NEW.answered IS DISTINCT FROM OLD.answered
       AND NEW.answered IS DISTINCT FROM 'reversed' THEN
        RAISE EXCEPTION 'card attempt %: % does not become %', OLD.key, OLD.answered, NEW.answered;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER card_attempt_result BEFORE UPDATE ON card_attempt
    FOR EACH ROW EXECUTE FUNCTION keep_final_result();
