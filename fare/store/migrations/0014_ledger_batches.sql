-- The same rules once more for less work, now by statement instead of by row, because what a statement costs by itself
-- was half of what a batch of journals costs.
--
-- What one statement moved is one row of posting, with all its accounts, instead of a row of entry for each. An account
-- says which posting was its last, and a posting which was the one before of each of its accounts, so a statement of an
-- account follows these links back and needs no index. Rows of entry from before stay and are read with them.

CREATE TABLE posting (
    number bigint PRIMARY KEY,  -- of the last journal of the statement
    first_number bigint NOT NULL,
    accounts bigint[] NOT NULL,  -- each once
    moved_tiyn bigint[] NOT NULL,  -- of each account, debit positive
    befores bigint[] NOT NULL  -- of each account: the posting before, NULL: none
);
-- Of many accounts they are larger than a row may be, and numbers compress badly.
ALTER TABLE posting ALTER accounts SET STORAGE EXTERNAL, ALTER moved_tiyn SET STORAGE EXTERNAL,
    ALTER befores SET STORAGE EXTERNAL;

CREATE TRIGGER refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON posting
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
CREATE TRIGGER refuses_by_hand BEFORE INSERT ON posting
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_refuses();
DROP TRIGGER refuses_by_hand ON entry;
CREATE TRIGGER refuses_more BEFORE INSERT ON entry FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();

ALTER TABLE account ADD COLUMN last_posting bigint, ADD COLUMN posting_before bigint;

-- What moved on an account: between which journals, and how much. A wallet has few, the account of fares one a batch.
CREATE FUNCTION account_entries(of_account bigint)
    RETURNS TABLE (first_number bigint, number bigint, amount_tiyn bigint) STABLE LANGUAGE sql AS $$
    WITH RECURSIVE linked AS (
        SELECT p.first_number, p.number, p.moved_tiyn[place] AS amount_tiyn, p.befores[place] AS before
        FROM account a JOIN posting p ON p.number = a.last_posting,
            array_position(p.accounts, of_account) AS place
        WHERE a.account_id = of_account
        UNION ALL
        SELECT p.first_number, p.number, p.moved_tiyn[place], p.befores[place]
        FROM linked l JOIN posting p ON p.number = l.before, array_position(p.accounts, of_account) AS place
    )
    SELECT l.first_number, l.number, l.amount_tiyn FROM linked l
    UNION ALL
    SELECT coalesce(e.first_number, e.number), e.number, e.amount_tiyn FROM entry e WHERE e.account_id = of_account
$$;

-- The hash of a journal covers the journals since the hash before, and only the last of a statement has one. So where
-- each has one, as before this migration, it is what it was.
ALTER TABLE journal ALTER hash DROP NOT NULL;

-- What were conditions of the table; a condition is read and prepared anew for each statement.
DO $$
DECLARE
    condition text;
BEGIN
    FOR condition IN SELECT conname FROM pg_constraint WHERE conrelid = 'journal'::regclass AND contype = 'c' LOOP
        EXECUTE format('ALTER TABLE journal DROP CONSTRAINT %I', condition);
    END LOOP;
END
$$;

CREATE FUNCTION journal_fits(one journal) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT length(one.digest) = 32
        AND (one.outcome = 'posted') = (one.refused IS NULL)
        AND (one.outcome = 'posted' OR cardinality(one.accounts) = 0)
        AND cardinality(one.accounts) = cardinality(one.amounts_tiyn) AND coalesce(0 <> ALL (one.amounts_tiyn), false)
        AND (one.outcome <> 'posted' OR (one.phase IN ('void', 'expire')) = (cardinality(one.accounts) = 0))
        AND (one.phase IN ('post', 'void', 'expire')) = (one.pending_key IS NOT NULL)
        AND (one.phase = 'pending') = (one.expires_ms IS NOT NULL)
        AND (one.reverses IS NULL OR one.phase = 'direct')
$$;

CREATE OR REPLACE FUNCTION journal_posted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    journals bigint;
    plain bigint;
    legs_added bigint;
    first_added bigint;
    last_added bigint;
    covered bytea;
    hashed bytea;
    misfit bigint;
    unbalanced bigint;
    refers boolean;
    holds boolean;
    missing bigint;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);  -- money is answered for when it is on disk
    END IF;

    -- Nearly every journal moves money at once from one account to another: all there is to check of it is here.
    SELECT count(*), min(n.number), max(n.number), sum(cardinality(n.accounts)),
        string_agg(n.digest || CASE n.outcome WHEN 'posted' THEN 'posted'::bytea
            ELSE convert_to(n.outcome::text, 'UTF8') END, '' ORDER BY n.number),
        string_agg(n.hash, ''),
        count(*) FILTER (WHERE n.outcome = 'posted' AND n.phase = 'direct' AND n.reverses IS NULL
            AND n.refused IS NULL AND n.pending_key IS NULL AND n.expires_ms IS NULL AND length(n.digest) = 32
            AND cardinality(n.accounts) = 2 AND n.accounts[1] <> n.accounts[2]
            AND cardinality(n.amounts_tiyn) = 2 AND n.amounts_tiyn[1] = -n.amounts_tiyn[2] AND n.amounts_tiyn[1] <> 0)
    INTO journals, first_added, last_added, legs_added, covered, hashed, plain
    FROM added n;
    IF journals = 0 THEN
        RETURN NULL;
    END IF;

    UPDATE ledger_head h SET number = last_added, hash = hashed
    WHERE h.number = first_added - 1 AND h.number = last_added - journals AND sha256(h.hash || covered) = hashed;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'journal %: does not follow journal %', first_added, (SELECT h.number FROM ledger_head h)
            USING ERRCODE = 'serialization_failure';
    END IF;

    IF plain < journals THEN
        SELECT min(n.number) FILTER (WHERE journal_fits(n) IS NOT TRUE OR n.hash IS NOT NULL AND n.number < last_added),
            min(n.number) FILTER (WHERE (SELECT sum(l.amount_tiyn) <> 0 OR count(DISTINCT l.account_id) <> count(*)
                FROM unnest(n.accounts, n.amounts_tiyn) AS l (account_id, amount_tiyn))),
            bool_or(n.outcome = 'posted' AND (n.pending_key IS NOT NULL OR n.reverses IS NOT NULL)),
            bool_or(n.outcome = 'posted' AND (n.pending_key IS NOT NULL OR n.phase = 'pending'))
        INTO misfit, unbalanced, refers, holds
        FROM added n;
        IF unbalanced IS NOT NULL THEN
            RAISE EXCEPTION 'journal %: its legs do not sum to zero, or name an account twice', unbalanced
                USING ERRCODE = 'check_violation';
        END IF;
        IF misfit IS NOT NULL THEN
            RAISE EXCEPTION 'journal %: its phase, answer and legs do not fit together', misfit
                USING ERRCODE = 'check_violation';
        END IF;
        IF refers THEN
            PERFORM journals_refer(first_added, last_added);
        END IF;
    END IF;

    IF holds THEN
        missing := journals_hold_and_move(first_added, last_added);
    ELSIF legs_added > 0 THEN
        WITH change AS MATERIALIZED (
            SELECT leg.account_id, sum(leg.amount_tiyn)::bigint AS moved_tiyn, count(*) AS legs
            FROM (
                SELECT unnest(n.accounts) AS account_id, unnest(n.amounts_tiyn) AS amount_tiyn FROM added n
            ) AS leg
            GROUP BY leg.account_id
        ), changed AS (
            UPDATE account a SET balance_tiyn = a.balance_tiyn + change.moved_tiyn,
                last_posting = last_added, posting_before = a.last_posting
            FROM change WHERE a.account_id = change.account_id
            RETURNING a.account_id, change.moved_tiyn, a.posting_before, change.legs
        ), whole AS MATERIALIZED (
            SELECT array_agg(c.account_id) AS accounts, array_agg(c.moved_tiyn) AS moved_tiyn,
                array_agg(c.posting_before) AS befores, coalesce(sum(c.legs), 0) AS legs
            FROM changed c
        ), entered AS (
            INSERT INTO posting (number, first_number, accounts, moved_tiyn, befores)
            SELECT last_added, first_added, w.accounts, w.moved_tiyn, w.befores FROM whole w WHERE w.legs = legs_added
        )
        SELECT legs_added - w.legs INTO missing FROM whole w;
    END IF;
    IF missing > 0 THEN
        RAISE EXCEPTION '% accounts of these journals do not exist', missing USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;

-- Enter journals, numbered as said, some of which hold or free what was held; return how many accounts are not there.
-- Balance and held in one update: a hold may rest on a top-up of the same batch. holds: 1 begins, -1 ends.
CREATE OR REPLACE FUNCTION journals_hold_and_move(first_number bigint, last_number bigint)
    RETURNS bigint LANGUAGE sql AS $$
    WITH leg AS MATERIALIZED (
        SELECT n.phase, l.account_id, l.amount_tiyn
        FROM journal n, unnest(n.accounts, n.amounts_tiyn) AS l (account_id, amount_tiyn)
        WHERE n.number BETWEEN first_number AND last_number
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
                + CASE a.side WHEN 1 THEN change.held_if_debit_tiyn ELSE change.held_if_credit_tiyn END,
            last_posting = last_number, posting_before = a.last_posting
        FROM change WHERE a.account_id = change.account_id
        RETURNING a.account_id, change.moved_tiyn, a.posting_before
    ), entered AS (
        INSERT INTO posting (number, first_number, accounts, moved_tiyn, befores)
        SELECT last_number, first_number, array_agg(c.account_id), array_agg(c.moved_tiyn), array_agg(c.posting_before)
        FROM changed c HAVING count(*) > 0
    )
    SELECT (SELECT count(*) FROM change) - (SELECT count(*) FROM changed)
$$;
