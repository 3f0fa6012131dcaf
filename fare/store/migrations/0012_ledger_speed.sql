-- The same rules for less work: the server is what the ledger waits for. An entry is what one statement moved on an
-- account, however many of its journals did: from first_number (NULL: only number itself) to number. So accounts that
-- all journals touch are entered once a batch, and entries come from the sums that balances need anyway.

ALTER TABLE entry ADD COLUMN first_number bigint;

-- Who posts takes a lock before any row and keeps it until the transaction ends. It was that of the row of ledger_head,
-- which wrote the row once more; this one is a number, "ledger" in ASCII.
CREATE OR REPLACE FUNCTION journal_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- An expression, because a query would be set up and taken down for each batch.
    IF pg_advisory_xact_lock(x'6c6564676572'::bigint) IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION ledger_lock_and_read(
    keys text[], codes text[],
    OUT number bigint, OUT hash bytea,
    OUT known_keys text[], OUT digests bytea[], OUT outcomes text[],
    OUT known_codes text[], OUT account_ids bigint[], OUT balances_tiyn bigint[], OUT helds_tiyn bigint[]
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(x'6c6564676572'::bigint);  -- in a statement of its own: the next sees what was posted
    SELECT r.* INTO number, hash, known_keys, digests, outcomes, known_codes, account_ids, balances_tiyn, helds_tiyn
    FROM ledger_read(keys, codes) AS r;
END
$$;

-- Plans are kept for the life of a connection, while tables grow from nothing: scans and hash joins that were right
-- for ten accounts must not stay. All is done once per statement, and what nearly every journal needs (it moves money at
-- once) apart from holds.
CREATE OR REPLACE FUNCTION journal_posted() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    head ledger_head;
    hashes bytea;  -- of the journal before, then of all that were added
    journals integer;
    legs_added bigint;
    unbalanced bigint;
    unchained bigint;
    refers boolean;
    holds boolean;
    missing bigint;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);  -- money is answered for when it is on disk
    END IF;

    -- Two legs are looked at by themselves: a subquery costs more than all else here.
    SELECT string_agg(n.hash, ''), count(*), sum(cardinality(n.accounts)),
        min(n.number) FILTER (WHERE CASE cardinality(n.accounts)
            WHEN 2 THEN n.amounts_tiyn[1] + n.amounts_tiyn[2] <> 0 OR n.accounts[1] = n.accounts[2]
            ELSE (SELECT sum(l.amount_tiyn) <> 0 OR count(DISTINCT l.account_id) <> count(*)
                FROM unnest(n.accounts, n.amounts_tiyn) AS l (account_id, amount_tiyn)) END),
        bool_or(n.outcome = 'posted' AND (n.pending_key IS NOT NULL OR n.reverses IS NOT NULL)),
        bool_or(n.outcome = 'posted' AND (n.pending_key IS NOT NULL OR n.phase = 'pending'))
    INTO hashes, journals, legs_added, unbalanced, refers, holds
    FROM added n;
    IF journals = 0 THEN
        RETURN NULL;
    END IF;

    -- Rows are added in the order of their numbers, or the hash before is not that of the journal before.
    SELECT * INTO head FROM ledger_head;
    hashes := head.hash || hashes;
    SELECT min(n.number) INTO unchained FROM added n
    WHERE CASE WHEN n.number BETWEEN head.number + 1 AND head.number + journals
        THEN n.hash <> sha256(substr(hashes, 32 * (n.number - head.number - 1)::integer + 1, 32)
            || n.digest || convert_to(n.outcome::text, 'UTF8'))
        ELSE true END;
    IF unchained IS NOT NULL THEN
        RAISE EXCEPTION 'journal %: does not follow journal %', unchained, head.number
            USING ERRCODE = 'serialization_failure';
    END IF;
    IF refers THEN
        PERFORM journals_refer(head.number + 1, head.number + journals);
    END IF;
    IF unbalanced IS NOT NULL THEN
        RAISE EXCEPTION 'journal %: its legs do not sum to zero, or name an account twice', unbalanced
            USING ERRCODE = 'check_violation';
    END IF;

    IF holds THEN
        missing := journals_hold_and_move(head.number + 1, head.number + journals);
    ELSE
        WITH change AS MATERIALIZED (
            SELECT leg.account_id, min(leg.number) AS first_number, max(leg.number) AS number,
                sum(leg.amount_tiyn)::bigint AS moved_tiyn, count(*) AS legs
            FROM (
                SELECT unnest(n.accounts) AS account_id, n.number, unnest(n.amounts_tiyn) AS amount_tiyn FROM added n
            ) AS leg
            GROUP BY leg.account_id
        ), entered AS (
            INSERT INTO entry (account_id, first_number, number, amount_tiyn)
            SELECT change.account_id, change.first_number, change.number, change.moved_tiyn FROM change
        ), changed AS (
            UPDATE account a SET balance_tiyn = a.balance_tiyn + change.moved_tiyn
            FROM change WHERE a.account_id = change.account_id
            RETURNING change.legs
        )
        SELECT legs_added - coalesce(sum(changed.legs), 0) INTO missing FROM changed;
    END IF;
    IF missing > 0 THEN
        RAISE EXCEPTION '% accounts of these journals do not exist', missing USING ERRCODE = 'foreign_key_violation';
    END IF;

    UPDATE ledger_head SET number = head.number + journals, hash = substr(hashes, 32 * journals + 1, 32);
    RETURN NULL;
END
$$;
