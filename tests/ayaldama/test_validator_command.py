"""``ayaldama validator quarantined`` and ``release``: what a person sees and may decide."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner, Result

from ayaldama.cli import cli
from ayaldama.commands.validator_quarantine import shift_ms
from ayaldama.database import bring_up_to_date
from commons.clock import wall_ms
from fare.audit_trail import Act
from fare.model import MediumId
from fare.store.postgres_audit import latest_lines
from fare.store.postgres_devices import PostgresDevices
from fare.store.postgres_releases import PostgresReleases
from fare.validator.enrolment import EnrolmentRequest, IssuedCode
from fare.validator.journal_file import JournalFile
from tests.fare.store.test_postgres_devices import CODE, V1, take
from tests.fare.validator.power import UnsafeDisk
from tests.fare.validator.test_batches import KEY, batch_of
from tests.fare.validator.test_journal import tap
from tests.notation.fares import fare_feed

HOUR_MS = 3_600_000
HOSTILE = MediumId("[red]\x1b[2J")
Call = Callable[..., Awaitable[Result]]


@pytest.fixture
async def call(postgres: asyncpg.Pool, postgres_dsn: str, tmp_path: Path) -> Call:
    """Five records of v-1: three an hour ahead, one before 2020, one that nobody's validator writes."""
    await bring_up_to_date(postgres)
    store, now_ms = PostgresDevices(postgres, "kzo"), wall_ms()
    await store.issue(IssuedCode(digest=CODE.digest, device_id=V1, vehicle_id="bus-7", expires_ms=now_ms + 1_000))
    await store.enrol(EnrolmentRequest(secret=CODE.secret, public=KEY.public), now_ms)
    journal = JournalFile(UnsafeDisk(), now_ms=0)
    for said in (
        *({"tapped_ms": now_ms + HOUR_MS + number} for number in range(3)),
        {"tapped_ms": 86_400_000},
        {"tapped_ms": 2**53, "medium_id": HOSTILE},
    ):
        journal.append_tap(msgspec.structs.replace(tap(1), **said))
    await take(store, batch_of(journal), now_ms)
    name = await postgres.fetchval("SELECT current_database()")
    variables = {
        "COLUMNS": "80",
        "AYALDAMA_POSTGRES_URL": urlunsplit(urlsplit(postgres_dsn)._replace(path=f"/{name}")),
        "AYALDAMA_GTFS__FEED": str(fare_feed(tmp_path)),
    }

    async def run(*arguments: str) -> Result:
        given = ["--data-folder", str(tmp_path), "validator", *arguments]
        return await asyncio.to_thread(lambda: CliRunner().invoke(cli, given, env=variables))

    return run


async def test_what_waits_is_listed_in_city_time_with_what_is_wrong(call: Call) -> None:
    listed = await call("quarantined")
    assert listed.exit_code == 0, listed.output
    rows = [line.split() for line in listed.stdout.splitlines()[1:]]
    assert [(row[0], row[1], row[-1]) for row in rows[:3]] == [("v-1", str(n), "ahead") for n in (1, 2, 3)]
    assert rows[3][2:4] == ["1970-01-02", "05:00:00"]
    assert rows[3][-2:] == ["before", "2020"]
    assert f"{2**53} ms" in listed.stdout
    assert rows[4][-1] == "content"
    assert "\x1b" not in listed.stdout
    assert "[red]\\x1b[2J" in listed.stdout, "shown as it is, without effect"
    assert len((await call("quarantined", "v-2")).stdout.splitlines()) == 1


async def test_a_person_sets_times_right_and_drops_what_nobody_rode(call: Call, postgres: asyncpg.Pool) -> None:
    shifted = await call("release", "v-1", "1-3", "--shift", "-2h15m", "--why", "clock two hours ahead")
    assert shifted.exit_code == 0, shifted.output
    assert [line.split()[0] for line in shifted.stdout.splitlines()] == ["v-1:1", "v-1:2", "v-1:3"]
    said = await call("release", "v-1", "4", "--at", "2026-03-02 08:30", "--why", "the driver's list")
    assert said.stdout == "v-1:4 2026-03-02 08:30:00\n", said.output
    assert (await call("release", "v-1", "5", "--drop", "a stolen key")).stdout == "v-1:5 dropped\n"
    releases = PostgresReleases(postgres)
    assert await releases.waiting() == []
    taps = await releases.pending(V1, 0)
    assert [one.sequence for one in taps] == [1, 2, 3, 4]
    assert taps[0].occurred_ms < wall_ms() - HOUR_MS
    moment = dt.datetime(2026, 3, 2, 8, 30, tzinfo=dt.timezone(dt.timedelta(hours=5)))
    assert taps[3].occurred_ms == moment.timestamp() * 1_000
    assert [line.act for line in await latest_lines(postgres, 9)] == [
        Act.TAPS_DROPPED,
        Act.TAPS_RELEASED,
        Act.TAPS_RELEASED,
    ]
    again = await call("release", "v-1", "5", "--drop", "once more")
    assert (again.exit_code, again.stderr) == (
        1,
        "ayaldama: nothing was decided: v-1:5: was released or dropped already\n",
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("9", "--drop", "?"), 1, "v-1:9: there is no such record"),
        (("1", "--shift", "0s", "--why", "?"), 1, "v-1:1: the time would be in the future"),
        (("1", "--at", "2019-12-31 23:59", "--why", "?"), 1, "v-1:1: the time would be before 2020"),
        (("5", "--at", "2026-03-02 08:30", "--why", "?"), 1, "v-1:5: its content is none that a validator writes"),
        (("1", "9", "--shift=-2h", "--why", "?"), 1, "v-1:9: there is no such record"),
        (("6-9", "--drop", "?"), 2, "SEQUENCE 6-9: nothing waits there"),
        (("9-6", "--drop", "?"), 2, "SEQUENCE 9-6: must be a number of a record"),
        (("one", "--drop", "?"), 2, "SEQUENCE one: must be a number of a record"),
        (("1", "2", "--at", "2026-03-02 08:30", "--why", "?"), 2, "--at: names the time of one tap"),
        (("1", "--shift", "-2", "--why", "?"), 2, "--shift -2: must be days, hours, minutes and seconds"),
        (("1", "--shift=-2h"), 2, "--why: say how the right time is known"),
        (("1", "--shift=-2h", "--why", ""), 2, "why: must be 1 to 200 characters"),
        (("1", "--shift=-2h", "--drop", "?"), 2, "say one of --shift, --at and --drop"),
        (("1",), 2, "say one of --shift, --at and --drop"),
    ],
)
async def test_what_cannot_be_decided_is_refused_in_one_sentence(
    call: Call, postgres: asyncpg.Pool, arguments: tuple[str, ...], status: int, said: str
) -> None:
    refused = await call("release", "v-1", *arguments)
    assert refused.exit_code == status, refused.output
    assert said in refused.stderr
    assert len(await PostgresReleases(postgres).waiting()) == 5
    assert await latest_lines(postgres, 1) == []


@pytest.mark.parametrize(
    ("said", "seconds"), [("-2h15m", -8_100), ("+20d", 1_728_000), ("90s", 90), ("0s", 0), ("1d1h1m1s", 90_061)]
)
def test_spans_are_read_with_their_sign(said: str, seconds: int) -> None:
    assert shift_ms(said) == seconds * 1_000


@pytest.mark.parametrize("said", ["", "-", "2", "h", "2h-1m", "1m2h", "--2h", "2 h"])
def test_what_is_no_span_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="--shift"):
        shift_ms(said)
