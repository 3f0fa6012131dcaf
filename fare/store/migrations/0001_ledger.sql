-- The ledger. Everything is inserted into journal, the book of original entry: one row is one answered request with
-- its legs, or what was refused. A trigger posts it: entry, the legs by account, and account, the balances. Whoever
-- goes round the application with plain SQL meets the same rules here (docs/ledger.md lists them).
--
-- Every posting transaction locks the one row of ledger_head before it writes. So journals have one order, which is that
-- of their numbers, of the hash chain and of commits; there can be no deadlock, and READ COMMITTED is enough: each
-- statement after the lock sees all that was posted before, and rows decided on before are refused if they do not follow.

CREATE TYPE journal_kind AS ENUM (
    'fare', 'top_up', 'pass_sale', 'refund', 'chargeback', 'settlement', 'debt_recovery', 'write_off', 'correction'
);
CREATE TYPE journal_phase AS ENUM ('direct', 'pending', 'post', 'void', 'expire');
CREATE TYPE posting_outcome AS ENUM (
    'posted', 'unbalanced', 'unknown_account', 'nothing_pending', 'exceeds_pending', 'nothing_to_reverse',
    'already_reversed', 'balance_too_low'
);

-- The chart of fare.ledger.accounts. side: 1 grows by debits, -1 by credits. overdraft_tiyn: NULL, any amount.
CREATE TABLE account_kind (
    kind text PRIMARY KEY,
    side smallint NOT NULL CHECK (side IN (1, -1)),
    overdraft_tiyn bigint CHECK (overdraft_tiyn >= 0)
);

INSERT INTO account_kind (kind, side, overdraft_tiyn) VALUES
    ('wallet', -1, 0), ('deposit', -1, 0), ('debt', 1, NULL), ('aggregate', 1, NULL), ('operator', 1, NULL),
    ('acquirer', 1, NULL), ('bank_qr', 1, NULL), ('top_up', 1, NULL), ('cash', 1, NULL), ('bank', 1, NULL),
    ('subsidy', 1, NULL), ('carrier', -1, NULL), ('deferred', -1, NULL), ('revenue', -1, NULL), ('refund', 1, NULL),
    ('chargeback', 1, NULL), ('write_off', 1, NULL), ('suspense', -1, NULL);

-- Balances are debit positive; held is what pending journals may still take against the side. Rows change at each
-- posting, so pages keep room for the new version beside the old one (HOT).
CREATE TABLE account (
    account_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL UNIQUE,
    side smallint NOT NULL,
    overdraft_tiyn bigint,
    balance_tiyn bigint NOT NULL DEFAULT 0,
    held_tiyn bigint NOT NULL DEFAULT 0 CHECK (held_tiyn >= 0),
    CONSTRAINT account_not_overdrawn CHECK (side * balance_tiyn - held_tiyn >= -overdraft_tiyn)
) WITH (fillfactor = 70);

CREATE TABLE journal (
    number bigint PRIMARY KEY,  -- 1, 2, 3 … without gaps
    key text NOT NULL UNIQUE,
    kind journal_kind NOT NULL,
    phase journal_phase NOT NULL,
    outcome posting_outcome NOT NULL,
    occurred_ms bigint NOT NULL,
    expires_ms bigint,
    pending_key text,
    reverses text,
    subject text NOT NULL,
    accounts bigint[] NOT NULL,  -- the legs; none of what was refused
    amounts_tiyn bigint[] NOT NULL,
    refused jsonb,  -- the legs of what was refused, as they were asked for
    digest bytea NOT NULL CHECK (length(digest) = 32),  -- SHA-256 of the content
    hash bytea NOT NULL,  -- SHA-256 of the hash before, digest and outcome
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((outcome = 'posted') = (refused IS NULL)),
    CHECK (outcome = 'posted' OR cardinality(accounts) = 0),
    CHECK (cardinality(accounts) = cardinality(amounts_tiyn) AND 0 <> ALL (amounts_tiyn)),
    CHECK (outcome <> 'posted' OR (phase IN ('void', 'expire')) = (cardinality(accounts) = 0)),
    CHECK ((phase IN ('post', 'void', 'expire')) = (pending_key IS NOT NULL)),
    CHECK ((phase = 'pending') = (expires_ms IS NOT NULL)),
    CHECK (reverses IS NULL OR phase = 'direct')
);

CREATE UNIQUE INDEX journal_resolves_once ON journal (pending_key)
    WHERE pending_key IS NOT NULL AND outcome = 'posted';
CREATE UNIQUE INDEX journal_reverses_once ON journal (reverses) WHERE reverses IS NOT NULL AND outcome = 'posted';
CREATE INDEX journal_holds ON journal (expires_ms) WHERE phase = 'pending' AND outcome = 'posted';

CREATE TABLE entry (
    account_id bigint NOT NULL,
    number bigint NOT NULL,
    amount_tiyn bigint NOT NULL,
    PRIMARY KEY (account_id, number)
);

CREATE TABLE ledger_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 10);

INSERT INTO ledger_head (number, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION account_opened() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT k.side, k.overdraft_tiyn, 0, 0 INTO new.side, new.overdraft_tiyn, new.balance_tiyn, new.held_tiyn
    FROM account_kind k WHERE k.kind = split_part(new.code, ':', 1);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'account %: the chart has no such kind', new.code USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN new;
END
$$;

CREATE TRIGGER account_opened BEFORE INSERT ON account FOR EACH ROW EXECUTE FUNCTION account_opened();

CREATE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: corrections are reversals', tg_op, tg_table_name
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses BEFORE DELETE OR TRUNCATE ON account FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses BEFORE INSERT OR DELETE OR TRUNCATE ON ledger_head
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
-- Depth 0: not from within journal_posted.
CREATE TRIGGER refuses_by_hand BEFORE INSERT ON entry
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses_by_hand BEFORE UPDATE ON account
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses_by_hand BEFORE UPDATE ON ledger_head
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_refuses();

-- Plans are kept for the life of a connection, while tables grow from nothing: scans and hash joins that were right
-- for ten accounts must not stay. All is done once per statement, and what nearly every journal needs (it moves money at
-- once) apart from holds: measured, that halves what the trigger costs.
CREATE FUNCTION journal_posted() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    head ledger_head;
    unchained bigint;
    unbalanced bigint;
    refers boolean;
    holds boolean;
    last ledger_head;
    missing bigint;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);  -- money is answered for when it is on disk
    END IF;

    SELECT * INTO head FROM ledger_head;
    -- The sum of two legs is taken by itself: a subquery costs more than all else here.
    SELECT min(link.number) FILTER (WHERE link.number <> link.next OR link.hash <> link.chained),
        min(link.number) FILTER (WHERE link.sum_tiyn <> 0),
        bool_or(link.refers), bool_or(link.holds), max(link.number)
    INTO unchained, unbalanced, refers, holds, last.number
    FROM (
        SELECT n.number, n.hash, head.number + row_number() OVER by_number AS next,
            sha256(lag(n.hash, 1, head.hash) OVER by_number || n.digest || convert_to(n.outcome::text, 'UTF8')) AS chained,
            CASE cardinality(n.amounts_tiyn) WHEN 2 THEN n.amounts_tiyn[1] + n.amounts_tiyn[2]
                ELSE (SELECT sum(l.amount_tiyn) FROM unnest(n.amounts_tiyn) AS l (amount_tiyn)) END AS sum_tiyn,
            n.outcome = 'posted' AND (n.pending_key IS NOT NULL OR n.reverses IS NOT NULL) AS refers,
            n.outcome = 'posted' AND (n.pending_key IS NOT NULL OR n.phase = 'pending') AS holds
        FROM added n WINDOW by_number AS (ORDER BY n.number)
    ) AS link;
    IF last.number IS NULL THEN
        RETURN NULL;  -- nothing was inserted
    END IF;
    IF unchained IS NOT NULL THEN
        RAISE EXCEPTION 'journal %: does not follow journal %', unchained, head.number
            USING ERRCODE = 'serialization_failure';
    END IF;
    IF refers THEN
        PERFORM journals_refer(head.number + 1, last.number);
    END IF;
    IF unbalanced IS NOT NULL THEN
        RAISE EXCEPTION 'journal %: its legs do not sum to zero', unbalanced USING ERRCODE = 'check_violation';
    END IF;

    IF holds THEN
        missing := journals_hold_and_move(head.number + 1, last.number);
    ELSE
        WITH entered AS (
            INSERT INTO entry (account_id, number, amount_tiyn)
            SELECT unnest(n.accounts) AS account_id, n.number, unnest(n.amounts_tiyn) FROM added n ORDER BY account_id
            RETURNING entry.account_id, entry.amount_tiyn
        ), change AS MATERIALIZED (
            SELECT entered.account_id, sum(entered.amount_tiyn)::bigint AS moved_tiyn FROM entered
            GROUP BY entered.account_id
        ), changed AS (
            UPDATE account a SET balance_tiyn = a.balance_tiyn + change.moved_tiyn
            FROM change WHERE a.account_id = change.account_id
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM change) - (SELECT count(*) FROM changed) INTO missing;
    END IF;
    IF missing > 0 THEN
        RAISE EXCEPTION '% accounts of these journals do not exist', missing USING ERRCODE = 'foreign_key_violation';
    END IF;

    UPDATE ledger_head SET number = last.number, hash = (SELECT n.hash FROM added n WHERE n.number = last.number);
    RETURN NULL;
END
$$;

-- Refuse posted journals, numbered as said, that do not resolve or reverse what they name.
CREATE FUNCTION journals_refer(first_number bigint, last_number bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    SELECT min(n.key) INTO wrong FROM journal n
    LEFT JOIN journal h ON h.key = n.pending_key AND h.outcome = 'posted' AND h.phase = 'pending'
        AND h.number < n.number AND (n.phase = 'expire') = (n.occurred_ms >= h.expires_ms)
    WHERE n.number BETWEEN first_number AND last_number AND n.outcome = 'posted' AND n.pending_key IS NOT NULL
        AND (h.key IS NULL OR NOT legs_within(n.accounts, n.amounts_tiyn, h.accounts, h.amounts_tiyn));
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'journal %: resolves nothing that is pending, or more than is held', wrong
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT min(n.key) INTO wrong FROM journal n
    LEFT JOIN journal r ON r.key = n.reverses AND r.outcome = 'posted' AND r.phase IN ('direct', 'post')
        AND r.number < n.number
    WHERE n.number BETWEEN first_number AND last_number AND n.outcome = 'posted' AND n.reverses IS NOT NULL
        AND (r.key IS NULL OR NOT legs_cancel(n.accounts, n.amounts_tiyn, r.accounts, r.amounts_tiyn));
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'journal %: is not the opposite of what it reverses', wrong
            USING ERRCODE = 'check_violation';
    END IF;
END
$$;

-- Enter journals, numbered as said, some of which hold or free what was held; return how many accounts are not there.
-- Balance and held in one update: a hold may rest on a top-up of the same batch. holds: 1 begins, -1 ends.
CREATE FUNCTION journals_hold_and_move(first_number bigint, last_number bigint) RETURNS bigint LANGUAGE sql AS $$
    WITH leg AS MATERIALIZED (
        SELECT n.number, n.phase, l.account_id, l.amount_tiyn
        FROM journal n, unnest(n.accounts, n.amounts_tiyn) AS l (account_id, amount_tiyn)
        WHERE n.number BETWEEN first_number AND last_number
    ), entered AS (
        INSERT INTO entry (account_id, number, amount_tiyn)
        SELECT leg.account_id, leg.number, leg.amount_tiyn FROM leg WHERE leg.phase <> 'pending'
    ), effect AS (
        SELECT leg.account_id, CASE leg.phase WHEN 'pending' THEN 0 ELSE leg.amount_tiyn END AS moved_tiyn,
            CASE leg.phase WHEN 'pending' THEN leg.amount_tiyn ELSE 0 END AS held_tiyn, 1 AS holds
        FROM leg
        UNION ALL
        SELECT l.account_id, 0, l.amount_tiyn, -1
        FROM journal n JOIN journal h ON h.key = n.pending_key,
            unnest(h.accounts, h.amounts_tiyn) AS l (account_id, amount_tiyn)
        WHERE n.number BETWEEN first_number AND last_number AND n.outcome = 'posted'
    ), change AS MATERIALIZED (
        SELECT effect.account_id, sum(effect.moved_tiyn)::bigint AS moved_tiyn,
            sum(effect.holds * greatest(-effect.held_tiyn, 0))::bigint AS held_if_debit_tiyn,
            sum(effect.holds * greatest(effect.held_tiyn, 0))::bigint AS held_if_credit_tiyn
        FROM effect GROUP BY effect.account_id
    ), changed AS (
        UPDATE account a SET
            balance_tiyn = a.balance_tiyn + change.moved_tiyn,
            held_tiyn = a.held_tiyn
                + CASE a.side WHEN 1 THEN change.held_if_debit_tiyn ELSE change.held_if_credit_tiyn END
        FROM change WHERE a.account_id = change.account_id
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM change) - (SELECT count(*) FROM changed)
$$;

-- Whether the first legs move, on each account, at most what the second do, in the same direction.
CREATE FUNCTION legs_within(accounts bigint[], amounts bigint[], of_accounts bigint[], of_amounts bigint[])
    RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(bool_and(
        coalesce(sign(part.amount) = sign(whole.amount) AND abs(part.amount) <= abs(whole.amount), false)), true)
    FROM unnest(accounts, amounts) AS part (account, amount)
    LEFT JOIN unnest(of_accounts, of_amounts) AS whole (account, amount) USING (account)
$$;

-- Whether both legs together move nothing.
CREATE FUNCTION legs_cancel(accounts bigint[], amounts bigint[], other_accounts bigint[], other_amounts bigint[])
    RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT NOT EXISTS (
        SELECT FROM unnest(accounts || other_accounts, amounts || other_amounts) AS l (account, amount)
        GROUP BY account HAVING sum(amount) <> 0
    )
$$;

-- Before any row: who wrote one first and then waited for the head would hold up its holder.
CREATE FUNCTION journal_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM ledger_head FOR UPDATE;
    RETURN NULL;
END
$$;

CREATE TRIGGER journal_posting BEFORE INSERT ON journal FOR EACH STATEMENT EXECUTE FUNCTION journal_posting();
CREATE TRIGGER journal_posted AFTER INSERT ON journal REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION journal_posted();

-- What the ledger knows of keys and accounts, all of one moment: STABLE functions read the snapshot of their caller.
CREATE FUNCTION ledger_read(
    keys text[], codes text[],
    OUT number bigint, OUT hash bytea,
    OUT known_keys text[], OUT digests bytea[], OUT outcomes text[],
    OUT known_codes text[], OUT account_ids bigint[], OUT balances_tiyn bigint[], OUT helds_tiyn bigint[]
) STABLE LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    SELECT h.number, h.hash INTO number, hash FROM ledger_head h;
    SELECT array_agg(j.key), array_agg(j.digest), array_agg(j.outcome::text) INTO known_keys, digests, outcomes
    FROM journal j WHERE j.key = ANY (keys);
    SELECT array_agg(a.code), array_agg(a.account_id), array_agg(a.balance_tiyn), array_agg(a.held_tiyn)
    INTO known_codes, account_ids, balances_tiyn, helds_tiyn
    FROM account a WHERE a.code = ANY (codes);
END
$$;

-- The same under the lock, until the transaction ends. The lock comes in a statement of its own, so that the one after
-- it sees what the holder before has committed.
CREATE FUNCTION ledger_lock_and_read(
    keys text[], codes text[],
    OUT number bigint, OUT hash bytea,
    OUT known_keys text[], OUT digests bytea[], OUT outcomes text[],
    OUT known_codes text[], OUT account_ids bigint[], OUT balances_tiyn bigint[], OUT helds_tiyn bigint[]
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM ledger_head FOR UPDATE;
    SELECT r.* INTO number, hash, known_keys, digests, outcomes, known_codes, account_ids, balances_tiyn, helds_tiyn
    FROM ledger_read(keys, codes) AS r;
END
$$;
