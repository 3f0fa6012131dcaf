"""What was answered is on disk: flushes are counted, and everything is killed under load."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from ayaldama.embedded import Server, ServerHome, open_home, start_postgres
from commons.migrate import migrate
from fare.outcomes import Posting
from fare.store.ledger_books import verify
from fare.store.postgres_ledger import open_ledger
from tests.notation.ledger import journal

PROJECT = Path(__file__).parents[3]
KILL_ROUNDS = int(os.environ.get("AYALDAMA_KILL_ROUNDS", "3"))
ANSWERS_BEFORE_KILL = 300
WAL_FLUSHES = "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'"


@pytest.fixture
def home(tmp_path: Path) -> ServerHome:
    tmp_path.chmod(0o755)
    return open_home(tmp_path)


@pytest.fixture
def careless(home: ServerHome) -> Iterator[Server]:
    """A server whose operator has switched synchronous_commit off."""
    server = start_postgres(home, options={"synchronous_commit": "off", "wal_writer_delay": "10s"})
    yield server
    server.stop()


async def test_every_group_is_flushed_before_it_is_answered_whatever_the_server_is_set_to(careless: Server) -> None:
    async with asyncpg.create_pool(careless.url, min_size=1, max_size=2) as pool:
        await migrate(pool, "fare.store")
    flushes = [await wal_flushes(careless)]
    async with asyncpg.create_pool(careless.url, min_size=1, max_size=2) as pool:
        for _ in range(50):  # what the server does by itself
            await pool.execute("SELECT pg_logical_emit_message(true, 'test', 'nothing')")
    flushes.append(await wal_flushes(careless))
    async with asyncpg.create_pool(careless.url, min_size=1, max_size=2) as pool, open_ledger(pool) as ledger:
        for number in range(50):
            assert await ledger.post([journal(f"k{number}", "top_up:kiosk", "wallet:1", 1)]) == [Posting.POSTED]
    flushes.append(await wal_flushes(careless))
    carelessly, ours = flushes[1] - flushes[0], flushes[2] - flushes[1]
    assert carelessly < 10, "synchronous_commit is off for others, so this test can tell"
    assert ours >= 50


async def wal_flushes(server: Server) -> int:
    """Return how often the WAL was flushed; a backend reports when it ends, so ask when the others have."""
    connection = await asyncpg.connect(server.url)
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    while await connection.fetchval(others):
        pass
    flushes = await connection.fetchval(WAL_FLUSHES)
    await connection.close()
    return int(flushes)


async def test_nothing_that_was_answered_is_lost_or_doubled_when_all_is_killed(home: ServerHome) -> None:
    answered: set[str] = set()
    server = start_postgres(home)
    for number in range(KILL_ROUNDS):
        answered |= load_until_killed(server, f"round{number}")
        server = start_postgres(home)
        async with asyncpg.create_pool(server.url, min_size=1, max_size=2) as pool:
            kept = Counter(row["key"] for row in await pool.fetch("SELECT key FROM journal WHERE outcome = 'posted'"))
            assert answered <= kept.keys(), f"round {number}: lost {sorted(answered - kept.keys())[:5]}"
            assert set(kept.values()) == {1}
            assert (await verify(pool)).findings == []
            assert -100 * len(kept) == await pool.fetchval(
                "SELECT sum(balance_tiyn)::bigint FROM account WHERE code LIKE 'wallet:%'"
            )
    server.stop()
    assert len(answered) >= KILL_ROUNDS * ANSWERS_BEFORE_KILL


def load_until_killed(server: Server, name: str) -> set[str]:
    """Let a process post until it has some answers, kill it and all of the server; return the keys answered."""
    load = subprocess.Popen(
        [sys.executable, "-m", "tests.fare.edges.ledger_load", server.url, name],
        stdout=subprocess.PIPE,
        cwd=PROJECT,
    )
    assert load.stdout is not None
    answered = [load.stdout.readline() for _ in range(ANSWERS_BEFORE_KILL)]
    postmaster = psutil.Process(server.process.pid)
    for process in [postmaster, *postmaster.children(recursive=True)]:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:  # the postmaster's end has ended it
            continue
    server.process.wait()
    load.kill()
    answered += load.stdout.readlines()
    load.wait()
    return {line.decode().strip() for line in answered if line.endswith(b"\n")}
