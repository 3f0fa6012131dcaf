"""A validator's tap and a city's backlog: how long a decision takes offline, and how fast stored taps are taken in.

    python bench/validator.py [--taps 2000] [--devices 585] [--backlog 100000]

First the pure decision with 100,000 denied media and 100,000 pupils, then the same with the journal synced to this
disk, beside the disk's own sync. Then an outage ends: ``devices`` validators send ``backlog`` stored taps over HTTP to
a server process with an embedded PostgreSQL that syncs every commit, while one live validator sends a tap at a time;
beside it, the same rows by COPY in one transaction. Signing is done before; the ledger is not part of this.
"""

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import psutil
import uvloop
from aiohttp import web

from ayaldama.embedded import open_home, start_postgres
from commons.clock import SystemClock
from commons.logs import configure_logs
from commons.metrics import Metrics
from commons.migrate import migrate
from fare.api.devices import Devices, Surroundings
from fare.media._base import Presented, Proof
from fare.model import DeviceId, MediumId, MediumKind, RiderCategory, Tap
from fare.outcomes import TapOutcome
from fare.store.postgres_devices import PostgresDevices
from fare.validator.batches import BYTES_MAX, RECORDS_MAX, Receiving, make_batch, open_receipt
from fare.validator.decide import Holdings, Place, decide
from fare.validator.deny_list import build_list
from fare.validator.disk import FolderDisk
from fare.validator.enrolment import Code, EnrolmentRequest, IssuedCode
from fare.validator.journal import Head, Record, Stretch, encode, hash_after
from fare.validator.journal_file import JournalFile
from fare.validator.link import Link
from fare.validator.recent import RecentTaps
from fare.validator.rules import Configuration, FarePeriod, FareTable, KindRules, Price
from fare.validator.signing import Signed, SigningKey

CITY_KEY = SigningKey.from_bytes(b"bench city key, not a secret one")
PUPIL = RiderCategory("pupil")
ADULT = RiderCategory("adult")
LISTED = 100_000
CONNECTIONS = 32
BUS = Place(vehicle_id="bus-1")


def medium(number: int, what: str) -> MediumId:
    """Return the id of a medium of the bench."""
    return MediumId(hashlib.sha256(f"{what} {number}".encode()).hexdigest()[:32])


def holdings(now_ms: int) -> Holdings:
    """Return rules, prices and two lists of ``LISTED`` media."""
    kind = MediumKind.TRANSPORT_CARD
    prices = (Price(kind=kind, category=ADULT, tiyn=10_000), Price(kind=kind, category=PUPIL, tiyn=5_000))
    return Holdings(
        configuration=Configuration(kinds=(KindRules(kind=kind),), concessions=(PUPIL,), clash_ms=0),
        fares=FareTable(periods=(FarePeriod(version="1", from_ms=0, until_ms=now_ms * 2, prices=prices),)),
        denied=build_list(medium(number, "denied") for number in range(LISTED)),
        denied_version=1,
        denied_ms=now_ms,
        concessions={PUPIL: build_list(medium(number, "pupil") for number in range(LISTED))},
    )


def tap_of(number: int, outcome: TapOutcome, now_ms: int, shown_tiyn: int, device: str = "v-1") -> Tap:
    """Return a tap as a validator records it."""
    return Tap(
        device_id=DeviceId(device),
        sequence=number,
        tapped_ms=now_ms,
        medium_id=medium(number, "rider"),
        medium_kind=MediumKind.TRANSPORT_CARD,
        outcome=outcome,
        vehicle_id="bus-1",
        shown_tiyn=shown_tiyn,
        tariff_version="1",
        deny_list_version=1,
    )


def measure_taps(taps: int, folder: Path) -> dict[str, list[float]]:
    """Return milliseconds of each decision, of each whole tap, and of each bare sync of as many bytes."""
    now_ms = SystemClock().now_ms()
    held, recent = holdings(now_ms), RecentTaps()
    journal = JournalFile(FolderDisk(folder / "journal"), now_ms)
    bare = FolderDisk(folder / "bare")
    took: dict[str, list[float]] = {"decision": [], "decision and journal": [], "floor: sync of as many bytes": []}
    for number in range(taps):
        presented = Presented(
            kind=MediumKind.TRANSPORT_CARD, medium_id=medium(number, "rider"), read_ms=now_ms, proof=Proof.VERIFIED
        )
        began_s = time.perf_counter()
        decision = decide(presented, held, recent, now_ms, place=BUS)
        decided_s = time.perf_counter()
        journal.append_tap(tap_of(number + 1, decision.outcome, now_ms, decision.shown_tiyn))
        kept_s = time.perf_counter()
        bare.append("bare", bytes(300))
        bare.sync("bare")
        took["floor: sync of as many bytes"].append((time.perf_counter() - kept_s) * 1_000)
        took["decision"].append((decided_s - began_s) * 1_000)
        took["decision and journal"].append((kept_s - began_s) * 1_000)
        recent.remember(tap_of(number + 1, decision.outcome, now_ms, decision.shown_tiyn))
    return took


def server_process(dsn: str, ports: "multiprocessing.Queue[int]") -> None:
    """Serve validators until killed."""
    configure_logs("bench", level="WARNING")

    async def take(_taps: list[Tap]) -> None:
        return

    async def serve() -> None:
        async with asyncpg.create_pool(dsn, min_size=8, max_size=8) as pool:
            devices = Devices(
                PostgresDevices(pool, "bench"),
                city="bench",
                key=CITY_KEY,
                clock=SystemClock(),
                metrics=Metrics(),
                surroundings=Surroundings(take_taps=take),
            )
            application = web.Application()
            application.add_routes(devices.routes())
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            ports.put(runner.addresses[0][1])
            await asyncio.Event().wait()

    uvloop.run(serve())


def stored_up(device: str, records: int, key: SigningKey, now_ms: int) -> list[Signed]:
    """Return the batches of a device that was without network for ``records`` taps."""
    batches, head = [], Head()
    for first in range(1, records + 1, RECORDS_MAX):
        payloads, before = [], head.hash
        for sequence in range(first, min(first + RECORDS_MAX, records + 1)):
            tap = tap_of(sequence, TapOutcome.ACCEPTED, now_ms - 1_000, 10_000, device)
            payloads.append(encode(Record(sequence=sequence, before=head.hash, tap=tap)))
            head = Head(sequence=sequence, hash=hash_after(head.hash, payloads[-1]))
        stretch = Stretch(first_sequence=first, before=before, payloads=tuple(payloads))
        if sum(map(len, payloads)) > BYTES_MAX:
            raise ValueError(f"a batch of {RECORDS_MAX} taps is longer than a validator sends")
        batches.append(
            make_batch(stretch, city="bench", device_id=DeviceId(device), sent_ms=now_ms + first, waiting=0, key=key)
        )
    return batches


async def enrolled(pool: asyncpg.Pool, device: str, now_ms: int) -> SigningKey:
    """Enrol a device; return its key."""
    store, key = PostgresDevices(pool, "bench"), SigningKey.generate()
    code = Code.make(secrets.token_bytes(10), CITY_KEY.public)
    await store.issue(
        IssuedCode(digest=code.digest, device_id=DeviceId(device), vehicle_id="bus-1", expires_ms=now_ms + 10**6)
    )
    await store.enrol(EnrolmentRequest(secret=code.secret, public=key.public), now_ms)
    return key


async def send_all(link: Link, batches: Sequence[Signed], device: str) -> None:
    """Send the batches of a device in order; each must be taken."""
    for number, batch in enumerate(batches):
        answered = await link.send(batch)
        sent_ms = msgspec.msgpack.decode(batch.body)["sent_ms"]
        receipt = open_receipt(answered.signed, CITY_KEY.public, device_id=DeviceId(device), sent_ms=sent_ms)
        if receipt is None or receipt.outcome is not Receiving.TAKEN:
            raise RuntimeError(f"{device}: batch {number} was not taken: {receipt}")


async def live(link: Link, key: SigningKey, now_ms: int, done: asyncio.Event) -> list[float]:
    """Send one tap at a time until ``done``; return milliseconds of each."""
    took, head = [], Head()
    while not done.is_set():
        tap = tap_of(head.sequence + 1, TapOutcome.ACCEPTED, now_ms, 10_000, "live")
        payload = encode(Record(sequence=head.sequence + 1, before=head.hash, tap=tap))
        stretch = Stretch(first_sequence=head.sequence + 1, before=head.hash, payloads=(payload,))
        batch = make_batch(
            stretch, city="bench", device_id=DeviceId("live"), sent_ms=now_ms + head.sequence, waiting=0, key=key
        )
        took.append((await link.send(batch)).round_trip_ms)
        head = Head(sequence=head.sequence + 1, hash=hash_after(head.hash, payload))
        await asyncio.sleep(0.02)
    return [float(one) for one in took]


async def backlog(dsn: str, port: int, devices: int, taps: int) -> dict[str, float]:
    """Return taps per second and how live taps fared."""
    now_ms = SystemClock().now_ms()
    async with asyncpg.create_pool(dsn, min_size=2, max_size=4) as pool:
        stored: dict[str, list[Signed]] = {}
        for number in range(devices):
            name = f"v-{number}"
            share = taps * (number + 1) // devices - taps * number // devices
            stored[name] = stored_up(name, share, await enrolled(pool, name, now_ms), now_ms)
        live_key = await enrolled(pool, "live", now_ms)
        done, room = asyncio.Event(), asyncio.Semaphore(CONNECTIONS)

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            link = Link(session, f"http://127.0.0.1:{port}")

            async def one(name: str) -> None:
                async with room:
                    await send_all(link, stored[name], name)

            living = asyncio.create_task(live(link, live_key, now_ms, done))
            began_s = time.monotonic()
            await asyncio.gather(*map(one, stored))
            took_s = time.monotonic() - began_s
            done.set()
            live_ms = sorted(await living)
        count = await pool.fetchval("SELECT count(*) FROM validator_record WHERE device_id <> 'live'")
        if count != taps:
            raise RuntimeError(f"{count} of {taps} records are there")
        await pool.execute("CREATE TABLE floor (LIKE validator_record INCLUDING ALL)")
        rows = await pool.fetch("SELECT * FROM validator_record")
        began_s = time.monotonic()
        await pool.copy_records_to_table("floor", records=rows)
        copied_s = time.monotonic() - began_s
    return {
        "taps_per_s": taps / took_s,
        "s_of_300000": 300_000 * took_s / taps,
        "live_p50_ms": live_ms[len(live_ms) // 2],
        "live_p99_ms": live_ms[int(len(live_ms) * 0.99)],
        "copy_per_s": len(rows) / copied_s,
    }


def percentiles(took_ms: Sequence[float]) -> dict[str, float]:
    """Return the middle, the 99th percentile and the longest."""
    ordered = sorted(took_ms)

    def at(share: float) -> float:
        return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 3)

    return {"p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1)}


def main() -> int:
    """Print all figures, and as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taps", type=int, default=2_000)
    parser.add_argument("--devices", type=int, default=585)
    parser.add_argument("--backlog", type=int, default=100_000)
    options = parser.parse_args()
    configure_logs("bench", level="WARNING")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        print(f"tap: {LISTED:,} denied media, {LISTED:,} pupils, this disk")
        for what, took_ms in measure_taps(options.taps, folder).items():
            figures[what] = percentiles(took_ms)
            print(f"  {what:<32}" + "".join(f"{key} {value:>8.3f}  " for key, value in figures[what].items()))
        server = start_postgres(open_home(folder / "servers"))
        try:
            figures["backlog"] = measure_backlog(server.url, options.devices, options.backlog)
        finally:
            server.stop()
    found = figures["backlog"]
    print(f"backlog: {options.backlog:,} taps of {options.devices} validators, over HTTP, synced")
    print(f"  {found['taps_per_s']:,.0f} taps/s; 300,000 in {found['s_of_300000']:.1f} s")
    print(f"  {found['taps_per_core_s']:,.0f} taps per second of one core of the server process")
    print(f"  a live tap meanwhile: p50 {found['live_p50_ms']:.0f} ms, p99 {found['live_p99_ms']:.0f} ms")
    print(f"  floor: COPY of the same rows {found['copy_per_s']:,.0f} rows/s")
    print(json.dumps(figures))
    return 0


def measure_backlog(dsn: str, devices: int, taps: int) -> dict[str, float]:
    """Return the figures of ``backlog`` with a server process of its own."""

    async def prepare() -> None:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            await migrate(pool, "fare.store")

    asyncio.run(prepare())
    spawn = multiprocessing.get_context("spawn")
    ports = spawn.Queue()
    process = spawn.Process(target=server_process, args=(dsn, ports), daemon=True)
    process.start()
    try:
        port, used = ports.get(timeout=30), psutil.Process(process.pid)
        before = used.cpu_times()
        figures = uvloop.run(backlog(dsn, port, devices, taps))
        after = used.cpu_times()
        cpu_s = after.user + after.system - before.user - before.system
        return figures | {"taps_per_core_s": taps / cpu_s}
    finally:
        process.terminate()
        process.join()


if __name__ == "__main__":
    sys.exit(main())
