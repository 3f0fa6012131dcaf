"""``ayaldama settle``, ``refund``, ``reconcile`` and ``people`` on the books of a stopped system."""

import asyncio
import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import asyncpg
from click.testing import CliRunner, Result

from ayaldama.cli import cli
from ayaldama.database import bring_up_to_date
from ayaldama.embedded import open_home, start_postgres
from ayaldama.fares import seed_key_of
from ayaldama.money import read_tariff
from fare.model import CarrierId, LocatedTap, MediumId, MediumKind, Profile, Ride, Tap
from fare.outcomes import TapOutcome
from fare.people import PersonName
from fare.service import open_taps
from fare.store.city_key import open_city_key
from fare.store.postgres_ledger import open_ledger
from fare.tariff.pricing import TariffPricing
from tests.notation.fares import MONDAY, fare_feed
from tests.notation.ledger import journal
from tests.notation.rides import medium

PASSWORD = "sary-arqa-1830"
TWO_AT_NIGHT_MS = round(dt.datetime.combine(MONDAY, dt.time(2), tzinfo=ZoneInfo("Asia/Qyzylorda")).timestamp() * 1_000)


async def nobody(media: Sequence[MediumId]) -> Mapping[MediumId, Profile]:
    return {}


async def asked(url: str, query: str) -> bytes:
    connection = await asyncpg.connect(url)
    try:
        return bytes(await connection.fetchval(query))
    finally:
        await connection.close()


def card_tap(sequence: int, hour: int, feed: Path) -> LocatedTap:
    zone = read_tariff(feed)[0].zone
    at_ms = round(dt.datetime.combine(MONDAY, dt.time(hour), tzinfo=zone).timestamp() * 1_000)
    common = {
        "tapped_ms": at_ms,
        "medium_id": medium(7),
        "medium_kind": MediumKind.TRANSPORT_CARD,
        "vehicle_id": "bus-1",
        "route_id": "R1",
    }
    fact = Tap(device_id="v", sequence=sequence, outcome=TapOutcome.ACCEPTED, **common)
    return LocatedTap(tap=fact, ride=Ride(key=fact.key, carrier_id=CarrierId("A"), stop_id="S0", **common))


async def fill(url: str, feed: Path) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=6) as pool:
        await bring_up_to_date(pool)
        async with open_ledger(pool) as ledger:
            await ledger.post([journal("up", "acquirer:main", "wallet:7", 500_000, at_ms=TWO_AT_NIGHT_MS)])
        async with open_taps(pool, pricing=TariffPricing(read_tariff(feed)[0]), profiles=nobody) as taps:
            await taps.take([card_tap(1, 8, feed), card_tap(2, 12, feed)])


def test_a_day_is_settled_paid_back_and_compared_without_a_running_system(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    feed = fare_feed(tmp_path)
    server = start_postgres(open_home(tmp_path))
    asyncio.run(fill(server.url, feed))

    def call(*arguments: str, given: str = "") -> Result:
        variables = {"COLUMNS": "200", "AYALDAMA_GTFS__FEED": str(feed), "AYALDAMA_POSTGRES_URL": server.url}
        arguments = ("--data-folder", str(tmp_path), *arguments)
        return CliRunner().invoke(cli, arguments, env=variables, input=given)

    refund = call("refund", "ride", "v:1", "--why", "two touches", "--key", "a")
    assert refund.exit_code == 0, refund.output
    assert refund.stdout == "v:1 granted granted 8501 tiyn, key a\n"
    assert call("refund", "ride", "v:1", "--why", "two touches", "--key", "a").stdout.split()[1] == "repeated"
    for arguments, said in (
        (("v:1", "--key", "b"), "not_positive: the ride has cost nothing, or all of it went back before"),
        (("v:1", "--key", "b", "--amount", "1"), "exceeds_paid: --amount is more than was paid"),
        (("v:9", "--key", "b"), "unknown_ride: no ride has this key"),
        (("v:2", "--key", "a"), "key_reused: --key names another refund"),
    ):
        refused = call("refund", "ride", *arguments, "--why", "again")
        assert refused.exit_code == 1
        assert f"refused: {said}" in refused.stderr
    assert call("refund", "ride", "nonsense", "--why", "?").exit_code == 2

    settled = call("settle", str(MONDAY), "--pdf", str(tmp_path / "papers"), "--pay")
    assert settled.exit_code == 0, settled.output
    row = next(line for line in settled.stdout.splitlines() if line.startswith("A "))
    # Two rides of 85.01; the first went back to its passenger on the day of the command, which is not closed.
    assert row.split() == ["A", "day", "paid", "2", "170.02", "0.00", "0.00", "85.01", "0.00", "85.01"]
    assert [file.read_bytes()[:5] for file in (tmp_path / "papers").iterdir()] == [b"%PDF-"]
    assert call("settle", str(MONDAY)).stdout == call("settle", str(MONDAY)).stdout
    assert call("settle", str(MONDAY - dt.timedelta(days=1))).exit_code == 1
    assert call("settle", str(MONDAY), "--carrier", "nobody").exit_code == 1
    assert call("ledger", "verify").exit_code == 0

    (tmp_path / "acquirer.csv").write_text("reference;amount\nup;5000.00\nother;1.00\n")
    day_before = str(MONDAY - dt.timedelta(days=1))
    for day, counted in ((str(MONDAY), "matched 1, settled_unknown 1"), (day_before, "settled_unknown 2")):
        compared = call(
            *("reconcile", str(tmp_path / "acquirer.csv"), "--account", "acquirer:main"),
            *("--from", day, "--until", day),
        )
        assert compared.exit_code == 1
        assert "settled_unknown  other" in compared.stdout
        assert counted in compared.stderr, "days are the city's: two at night there is the day before in UTC"

    assert call("people", "add", "aigul", "accountant", "--password-stdin", given="short\n").exit_code == 2
    assert call("people", "add", "aigul", "accountant", "--password-stdin", given=f"{PASSWORD}\n").exit_code == 0
    assert call("people", "add", "aigul", "auditor", "--password-stdin", given=f"{PASSWORD}\n").exit_code == 1
    assert call("people", "add", "depot", "carrier", "--password-stdin", given=f"{PASSWORD}\n").exit_code == 2
    link = call("people", "totp", "aigul").stdout
    assert link.startswith("otpauth://totp/Ayaldama:aigul?secret=")
    seed = base64.b32decode(parse_qs(urlsplit(link.strip()).query)["secret"][0])
    key = seed_key_of(open_city_key(tmp_path / "fare" / "city-key"))
    assert key.open(PersonName("aigul"), asyncio.run(asked(server.url, "SELECT totp_secret FROM person"))) == seed
    assert "aigul  accountant" in call("people", "list").stdout
    assert call("people", "revoke", "aigul").exit_code == 0
    assert call("people", "revoke", "nobody").exit_code == 1
    server.stop()
