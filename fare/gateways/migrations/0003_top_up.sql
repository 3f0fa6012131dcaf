-- Top-ups by banks: kept before the bank is asked, and what became of each. What was asked for never changes, what was
-- credited once stays so, and one payment of a bank is one top-up.
CREATE TABLE top_up (
    -- Banks get it as our number, of 6 digits at least.
    invoice bigint GENERATED ALWAYS AS IDENTITY (START WITH 100000 MAXVALUE 999999999999999) PRIMARY KEY,
    bank text NOT NULL CHECK (bank <> ''),
    medium_id text NOT NULL CHECK (medium_id <> ''),
    key text NOT NULL CHECK (key <> ''),  -- of who asked: the same key of a medium is the same top-up
    amount_tiyn bigint NOT NULL CHECK (amount_tiyn > 0),
    created_ms bigint NOT NULL,
    expires_ms bigint NOT NULL,
    echo text NOT NULL,  -- a secret between the bank and us; '' where the bank has no use for one
    link text NOT NULL DEFAULT '',  -- where the rider pays
    qr text NOT NULL DEFAULT '',
    state text NOT NULL CHECK (state IN ('created', 'pending', 'expired', 'refused', 'credited', 'refunded')),
    credited boolean NOT NULL DEFAULT false,
    operation_id text CHECK (operation_id <> ''),  -- NULL: not paid
    said_back_tiyn bigint NOT NULL DEFAULT 0,
    asked_back_tiyn bigint NOT NULL DEFAULT 0,
    taken_tiyn bigint NOT NULL DEFAULT 0,
    ask_ms bigint,  -- when the bank is asked next how it stands; NULL: it is settled
    asked integer NOT NULL DEFAULT 0,  -- how often it was asked without an end
    UNIQUE (medium_id, key),
    UNIQUE (bank, operation_id),
    CHECK (NOT credited OR operation_id IS NOT NULL),
    CHECK (credited OR taken_tiyn = 0),
    CHECK (state <> 'credited' OR credited),
    CHECK (said_back_tiyn BETWEEN 0 AND amount_tiyn AND asked_back_tiyn BETWEEN 0 AND amount_tiyn),
    CHECK (taken_tiyn BETWEEN 0 AND amount_tiyn)
);

CREATE INDEX top_up_to_ask ON top_up (ask_ms) WHERE ask_ms IS NOT NULL;
CREATE INDEX top_up_of_medium ON top_up (medium_id, created_ms);
-- A bank may know numbers by their last six digits: of those not paid yet no two are alike.
CREATE UNIQUE INDEX top_up_last_six ON top_up (bank, (invoice % 1000000)) WHERE state IN ('created', 'pending');

CREATE FUNCTION keep_top_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'top-up %: is never deleted', OLD.invoice;
    END IF;
    IF (NEW.invoice, NEW.bank, NEW.medium_id, NEW.key, NEW.amount_tiyn, NEW.created_ms, NEW.echo)
       IS DISTINCT FROM (OLD.invoice, OLD.bank, OLD.medium_id, OLD.key, OLD.amount_tiyn, OLD.created_ms, OLD.echo) THEN
        RAISE EXCEPTION 'top-up %: what was asked for does not change', OLD.invoice;
    END IF;
    IF OLD.credited AND NOT NEW.credited OR OLD.operation_id IS DISTINCT FROM NEW.operation_id
       AND OLD.operation_id IS NOT NULL OR OLD.said_back_tiyn > NEW.said_back_tiyn THEN
        RAISE EXCEPTION 'top-up %: what a bank said is not unsaid', OLD.invoice;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER top_up_kept BEFORE UPDATE OR DELETE ON top_up FOR EACH ROW EXECUTE FUNCTION keep_top_up();

-- Refunds of unused money: the wallet is debited when it is asked for, the bank answers later.
CREATE TABLE top_up_back (
    reference text PRIMARY KEY CHECK (reference <> ''),  -- as the bank gets it
    invoice bigint NOT NULL REFERENCES top_up,
    amount_tiyn bigint NOT NULL CHECK (amount_tiyn > 0),
    asked_ms bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('asked', 'done', 'refused')),
    ask_ms bigint,
    asked integer NOT NULL DEFAULT 0,
    CHECK ((state = 'asked') = (ask_ms IS NOT NULL))
);

CREATE INDEX top_up_back_to_ask ON top_up_back (ask_ms) WHERE ask_ms IS NOT NULL;
CREATE INDEX top_up_back_of ON top_up_back (invoice);

-- Messages of banks that were taken: the same id again is no second message, and with another content a forgery.
CREATE TABLE bank_message (
    bank text NOT NULL,
    message_id text NOT NULL,
    digest bytea NOT NULL,
    taken_ms bigint NOT NULL,
    PRIMARY KEY (bank, message_id)
);

CREATE INDEX bank_message_taken ON bank_message (taken_ms);
