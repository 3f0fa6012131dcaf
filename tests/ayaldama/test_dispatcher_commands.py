"""What dispatchers say at the command line, on a real Valkey and a feed: kept as said, or refused with the reason."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis

from ayaldama.cli import cli
from commons.clock import wall_ms
from tests.notation.feed import files, write_zip
from transit.keys import Keys
from transit.notices import Alert, Informed
from transit.store.redis_notices import NoticesStore

KEYS = Keys("kyzylorda")
TOWN = """
stops
stop_id  stop_code  stop_name  x     y
S0       -          Depot      0     0
S1       77         Bazaar     1000  0
S2       77         School     2000  0
S3       78         Station    3000  0

trips
route_id  service_id  trip_id  direction_id  shape_id
R1        daily       T1       0             line
R1        daily       EVERY    0             line
R1        never       T9       0             line

stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       23:40:00      23:40:00        S0       1
T1       23:50:00      23:50:00        S1       2
EVERY    08:00:00      08:00:00        S0       1
EVERY    08:05:00      08:05:00        S1       2
T9       08:00:00      08:00:00        S0       1
T9       08:05:00      08:05:00        S1       2

frequencies
trip_id  start_time  end_time  headway_secs  exact_times
EVERY    06:00:00    23:50:00  600           0

calendar
service_id  monday  tuesday  wednesday  thursday  friday  saturday  sunday  start_date  end_date
daily       1       1        1          1         1       1         1       20200101    20991231
never       0       0        0          0         0       0         0       20200101    20991231
"""


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zip(tmp_path_factory.mktemp("feed") / "town.zip", files(TOWN))


@pytest.fixture
def environment(redis: Redis, valkey_url: str, feed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        "AYALDAMA_REDIS_URL": valkey_url,
        "AYALDAMA_GTFS__FEED": str(feed),
        "AYALDAMA_DATA_FOLDER": str(feed.parent / "data"),
        "AYALDAMA_CITY": KEYS.city,
        "LOGNAME": "aigul",
        "COLUMNS": "200",
    }


async def say(environment: dict[str, str], *words: str) -> Result:
    return await asyncio.to_thread(lambda: CliRunner(env=environment).invoke(cli, words))


async def kept(redis: Redis) -> list[Alert]:
    return list((await NoticesStore(redis, KEYS).read()).alerts)


async def test_an_alert_is_told_listed_and_ended(redis: Redis, environment: dict[str, str]) -> None:
    words = ["alerts", "add", "--kk", " Жол  жабық ", "--text-ru", "Объезд", "--stop", "77", "--route", "1"]
    more = ["--effect", "detour", "--cause", "construction", "--severity", "severe", "--for", "2h", "--takeover"]
    before_ms = wall_ms()
    told = await say(environment, *words, *more)
    assert told.exit_code == 0
    assert "no text in ru, en" in told.stderr
    (alert,) = await kept(redis)
    assert told.stdout == f"{alert.alert_id}\n"
    assert (alert.header, alert.text, alert.author) == ({"kk": "Жол жабық"}, {"ru": "Объезд"}, "aigul")
    assert alert.informed == [Informed(stop_id=stop, route_id="R1") for stop in ("S1", "S2")]
    assert (alert.effect, alert.cause, alert.severity, alert.takeover) == ("detour", "construction", "severe", True)
    assert alert.periods[0].end_ms - alert.periods[0].start_ms == 7_200_000
    assert before_ms <= alert.made_ms <= wall_ms()
    listed = (await say(environment, "alerts", "list")).stdout
    assert all(word in listed for word in (alert.alert_id, "now", "routes R1 at stops S1, S2", "detour", "aigul"))
    assert (await say(environment, "alerts", "end", alert.alert_id, "--author", "Ержан")).exit_code == 0
    assert alert.alert_id not in (await say(environment, "alerts", "list")).stdout
    (over,) = json.loads((await say(environment, "alerts", "list", "--all", "--json")).stdout)
    assert (over["alert_id"], over["ended_by"]) == (alert.alert_id, "Ержан")
    again = await say(environment, "alerts", "end", alert.alert_id)
    assert (again.exit_code, "holds or is to come" in again.stderr) == (1, True)


async def test_times_are_those_of_the_city(redis: Redis, environment: dict[str, str]) -> None:
    span = ["--from", "2090-01-02 08:00", "--until", "2090-01-02 09:30"]
    assert (await say(environment, "alerts", "add", "--ru", "x", *span)).exit_code == 0
    (alert,) = await kept(redis)
    assert (alert.periods[0].start_ms, alert.informed) == (3_787_009_200_000, [])  # 03:00 UTC
    assert alert.periods[0].end_ms - alert.periods[0].start_ms == 90 * 60_000
    listed = (await say(environment, "alerts", "list")).stdout
    assert all(word in listed for word in ("coming", "2090-01-02 08:00", "2090-01-02 09:30", "the whole city"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--for 2h", "say it in at least one language"),
        ("--kk x", "say when it ends"),
        ("--kk x --for 2h --until 18:00", "say when it ends"),
        ("--kk x --for soon", "--for soon: must be so many minutes, hours or days"),
        ("--kk x --for 0m", "--for 0m: must be"),
        ("--kk x --for 400d", "--for 400d: an alert holds for up to a year"),
        ("--kk x --until evening", "--until evening: must be a time of the city"),
        ("--kk x --until 2001-01-01T10:00", "would be over before it begins"),
        ("--kk x --for 2h --stop S9", "--stop S9: no such stop: did you mean"),
        ("--kk x --for 2h --route 404", "--route 404: no such route"),
        ("--kk x --for 2h --effect closed", "'closed' is not one of 'no_service'"),
        (f"--kk {'x' * 121} --for 2h", "must be up to 120 characters, has 121"),
        ("--kk a\x07b --for 2h", "must be text without control characters"),
        (f"--kk x --for 2h --author {'y' * 61}", "a name of 1 to 60 characters"),
    ],
)
async def test_what_cannot_be_told_is_said_with_the_reason(
    redis: Redis, environment: dict[str, str], words: str, reason: str
) -> None:
    told = await say(environment, "alerts", "add", *words.split())
    assert (told.exit_code, await kept(redis)) == (2, [])
    assert reason in told.stderr


async def test_a_trip_is_cancelled_for_a_day_listed_and_restored(redis: Redis, environment: dict[str, str]) -> None:
    day = ["--date", "2090-01-02"]
    assert (await say(environment, "trips", "cancel", "T1", *day)).exit_code == 0
    (one,) = (await NoticesStore(redis, KEYS).read()).cancellations
    assert (one.name, one.author) == ("20900102:T1", "aigul")
    assert one.until_ms == 3_787_066_200_000 + 3 * 3_600_000, "its planned end is 23:50, 18:50 UTC"
    assert "20900102  T1" in (await say(environment, "trips", "list")).stdout
    runs = (await say(environment, "trips", "list", "--route", "1", *day)).stdout.splitlines()
    assert [line.split()[0] for line in runs[1:]] == ["EVERY", "T1"]
    assert ["cancelled" in line for line in runs[1:]] == [False, True]
    assert (await say(environment, "trips", "restore", "T1", *day)).exit_code == 0
    assert (await say(environment, "trips", "restore", "T1", *day)).exit_code == 1


async def test_one_departure_or_all_of_a_headway(redis: Redis, environment: dict[str, str]) -> None:
    day = ["--date", "2090-01-02"]
    assert (await say(environment, "trips", "cancel", "T1", "--departure", "23:40", *day)).exit_code == 0
    assert (await say(environment, "trips", "cancel", "EVERY", *day)).exit_code == 0
    names = sorted(one.name for one in (await NoticesStore(redis, KEYS).read()).cancellations)
    assert names == ["20900102:EVERY", f"20900102:T1@{3_787_065_600}"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("T7", "TRIP T7: no such trip_id"),
        ("T9", "trip T9 does not run on"),
        ("T1 --date 2001-01-01", "trip T1 does not run on 2001-01-01: its service daily runs from 2020-01-01"),
        ("T1 --date 2021-01-01", "trip T1 is over since 2021-01-01 23:50"),
        ("T1 --date 2090-01-02 --departure 23:41", "--departure 23:41: trip T1 leaves at 23:40"),
        ("EVERY --date 2090-01-02 --departure 23:41", "runs by headway and has no departures of its own"),
    ],
)
async def test_a_trip_that_cannot_be_cancelled_is_said_with_the_reason(
    redis: Redis, environment: dict[str, str], words: str, reason: str
) -> None:
    told = await say(environment, "trips", "cancel", *words.split())
    assert (told.exit_code, (await NoticesStore(redis, KEYS).read()).cancellations) == (2, ())
    assert reason in told.stderr


async def test_without_a_feed_or_a_server_it_says_what_to_set(environment: dict[str, str], tmp_path: Path) -> None:
    nowhere = {name: value for name, value in environment.items() if "FEED" not in name}
    nowhere["AYALDAMA_DATA_FOLDER"] = str(tmp_path)
    told = await say(nowhere, "alerts", "list")
    assert (told.exit_code, "gtfs.feed is not set" in told.stderr) == (2, True)
    told = await say(environment | {"AYALDAMA_REDIS_URL": "unix:///nowhere.sock"}, "alerts", "list")
    assert (told.exit_code, "Redis does not answer" in told.stderr) == (69, True)
