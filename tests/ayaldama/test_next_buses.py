"""The board of a stop by SMS: what comes, by the number on the sign, and nothing of what nobody knows any more."""

import pytest
from redis.asyncio import Redis

from ayaldama.next_buses import AGE_MAX_MS, AHEAD_MAX_MS, BUSES_MAX, NextBusesByStop
from fare.sms.values import CancelledBus, NextBus, StopAlert, StopBoard
from gtfs_data.network import Network
from tests.notation.feed import network
from transit.keys import Keys
from transit.model import Arrival, Update
from transit.notices import Alert, Cancellation, Effect, Informed, Period, Severity
from transit.store.redis_notices import NoticesStore
from transit.store.redis_state import StateReader, StateWriter

NOW_MS = 1_789_970_700_000
MINUTE_MS = 60_000
KEYS = Keys("town")
SIGNS = """
stops
stop_id  stop_code  stop_name  x     y
S0       -          Depot      0     0
S1       77         Bazaar     1000  0
S2       77         Bazaar     2000  0
S3       78         Station    3000  0
"""


class Still:
    """City time that stands."""

    rate = 1.0

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    async def sleep(self, city_s: float) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return network(tmp_path_factory.mktemp("town"), SIGNS)


def arrival(number: int, in_ms: int, *, stop_id: str = "S1", state: str = "live", last: bool = False) -> Arrival:
    return Arrival(
        *(f"{number}|run|2", stop_id, f"{number}", "R1", 0, "T1", "T1|today", 2),
        *(NOW_MS + in_ms, NOW_MS + in_ms, NOW_MS + in_ms, state, NOW_MS, None),
        last_stop=last,
    )


def answering(redis: Redis, town: Network, now_ms: int) -> NextBusesByStop:
    return NextBusesByStop(town, StateReader(redis, KEYS), NoticesStore(redis, KEYS), Still(now_ms))


async def asked(
    redis: Redis, town: Network, code: str, arrivals: list[Arrival], *, age_ms: int = 0
) -> StopBoard | None:
    """Return the answer to ``code`` when tracking said ``arrivals`` so long ago."""
    update = Update(as_of_ms=NOW_MS, vehicles=[], arrivals=arrivals, withdrawn=[])
    await StateWriter(redis, KEYS).replace(update)
    return await answering(redis, town, NOW_MS + age_ms)(code, "kk")


def said(board: StopBoard | None) -> list[tuple[str, int, bool]]:
    assert board is not None
    return [(bus.route, bus.minutes, bus.live) for bus in board.buses]


async def test_both_sides_of_a_street_are_one_board_and_the_soonest_comes_first(redis: Redis, town: Network) -> None:
    coming = [
        arrival(1, 9 * MINUTE_MS),
        arrival(2, 2 * MINUTE_MS + 59_000, stop_id="S2"),
        arrival(3, 4 * MINUTE_MS, state="timetable"),
        arrival(4, MINUTE_MS, stop_id="S3"),
    ]
    board = await asked(redis, town, " 77 ", coming)
    assert said(board) == [("1", 2, True), ("1", 4, False), ("1", 9, True)]
    assert board is not None
    assert board.name == "Bazaar"


@pytest.mark.parametrize("code", ["79", "", "S1", "Bazaar"])
async def test_a_number_that_is_on_no_sign_names_no_stop(redis: Redis, town: Network, code: str) -> None:
    assert await asked(redis, town, code, [arrival(1, MINUTE_MS)]) is None


@pytest.mark.parametrize(
    "one",
    [
        arrival(1, MINUTE_MS, state="cancelled"),
        arrival(1, MINUTE_MS, last=True),
        arrival(1, -1),
        arrival(1, AHEAD_MAX_MS + 1),
    ],
    ids=["cancelled", "ends here", "gone", "too far ahead"],
)
async def test_what_nobody_can_board_is_not_said(redis: Redis, town: Network, one: Arrival) -> None:
    assert said(await asked(redis, town, "77", [one])) == []


async def test_what_tracking_said_long_ago_is_not_said(redis: Redis, town: Network) -> None:
    coming = [arrival(1, 5 * MINUTE_MS)]
    assert said(await asked(redis, town, "77", coming, age_ms=AGE_MAX_MS)) == [("1", 3, True)]
    assert said(await asked(redis, town, "77", coming, age_ms=AGE_MAX_MS + 1)) == []


async def test_before_tracking_ever_spoke_there_is_a_stop_without_buses(redis: Redis, town: Network) -> None:
    board = await answering(redis, town, NOW_MS)("78", "kk")
    assert board == StopBoard(name="Station", buses=())


async def test_an_answer_has_a_bound(redis: Redis, town: Network) -> None:
    board = await asked(redis, town, "77", [arrival(one, one * MINUTE_MS) for one in range(1, 40)])
    assert board is not None
    assert len(board.buses) == BUSES_MAX
    assert board.buses[0] == NextBus(route="1", minutes=1, live=True)


async def test_a_bus_on_a_cancelled_run_is_not_offered(redis: Redis, town: Network) -> None:
    off = Cancellation(name="T1|today", until_ms=NOW_MS + MINUTE_MS, author="x", made_ms=NOW_MS)
    await NoticesStore(redis, KEYS).put_cancellation(off, NOW_MS)
    board = await asked(redis, town, "77", [arrival(1, 5 * MINUTE_MS)])
    assert board is not None
    assert board.buses == ()
    assert board.cancelled == (CancelledBus(route="1", planned_ms=NOW_MS + 5 * MINUTE_MS),)
    await NoticesStore(redis, KEYS).remove_cancellation(off.name, NOW_MS)
    board = await asked(redis, town, "77", [arrival(1, 5 * MINUTE_MS)])
    assert board is not None
    assert [bus.minutes for bus in board.buses] == [5]


def moved(number: int, stop_id: str, severity: Severity, **more: object) -> Alert:
    values: dict[str, object] = {
        "alert_id": f"a{number}",
        "header": {"kk": f"Көшірілді {number}"},
        "effect": Effect.STOP_MOVED,
        "severity": severity,
        "informed": [Informed(stop_id=stop_id)],
        "periods": [Period(start_ms=NOW_MS, end_ms=NOW_MS + MINUTE_MS)],
        "author": "x",
        "made_ms": NOW_MS,
    }
    return Alert(**(values | more))  # type: ignore[arg-type]


async def test_alerts_of_the_stop_are_said_also_when_buses_are_not_heard(redis: Redis, town: Network) -> None:
    store = NoticesStore(redis, KEYS)
    over = [Period(start_ms=NOW_MS - MINUTE_MS, end_ms=NOW_MS)]
    for alert in (
        moved(1, "S1", Severity.INFO),
        moved(2, "S2", Severity.SEVERE),
        moved(3, "S3", Severity.SEVERE),
        moved(4, "S1", Severity.SEVERE, periods=over),
    ):
        await store.put_alert(alert, NOW_MS)
    board = await answering(redis, town, NOW_MS)("77", "ru")  # nothing was ever tracked
    assert board == StopBoard(
        name="Bazaar",
        buses=(),
        alerts=(
            StopAlert(header="Көшірілді 2", foreign=True, effect="stop_moved"),
            StopAlert(header="Көшірілді 1", foreign=True, effect="stop_moved"),
        ),
    )
    board = await answering(redis, town, NOW_MS)("77", "kk")
    assert board is not None
    assert board.alerts[0] == StopAlert(header="Көшірілді 2", effect="stop_moved")
