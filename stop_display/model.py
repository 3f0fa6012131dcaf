"""The wire between server and boards, as tagged structs: JSON text frames with a ``type``. Times: city time, epoch ms.

A board opens ``/board/ws`` and sends ``subscribe``. The server answers ``hello``, one ``snapshot`` for each stop, then
``change`` when a line of a stop changes and a ``heartbeat`` every ``heartbeat_s``. Sequence numbers
grow by frame content, not by connection: every board of a stop gets the same bytes, and a board that comes back says
the ``session`` and the last ``sequence`` it has, and gets what it missed, or snapshots if that is no longer held.
A board says ``ack`` when what it got is on the screen, so the delay from fix to pixel is measured where it counts.

Rows and lines, of which a server makes thousands each second, are left out of garbage collection: no cycle can form.
"""

from collections.abc import Mapping

import msgspec

from stop_display.panels.model import Configuration

PROTOCOL = 1
STOPS_MAX = 20
QUOTED_MAX = 80  # characters of a wrong value

Text = Mapping[str, str]  # language ("kk", "ru", "en") → text


class BoardArrival(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One vehicle to come, or one planned time."""

    key: str  # stays for this arrival's life
    state: str  # ``transit.outcomes.ArrivalState``
    arrival_ms: int  # to count down to
    p10_ms: int | None = None
    p90_ms: int | None = None
    scheduled_ms: int | None = None
    vehicle: str = ""
    fix_ms: int | None = None  # of the fix it rests on: its age is the row's age
    stops_away: int | None = None
    occupancy: str = ""  # ``transit.outcomes.Occupancy``, "" where it is not known
    delay_s: int | None = None  # predicted − planned, positive: late; of followed vehicles that have a planned time
    wheelchair: str = ""  # ``outcomes.Wheelchair``, "" where it is not known
    at_stop: bool = False  # the vehicle stands at this stop now


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One route to one destination at one stop, and its next arrivals in order of time (0 to 3)."""

    key: str
    route_id: str
    route: str  # as painted on the bus
    destination: Text
    state: str  # ``outcomes.LineState``
    arrivals: list[BoardArrival] = []
    colour: str = ""  # RRGGBB, "" if the feed has none
    text_colour: str = ""
    first_ms: int | None = None  # BEFORE_FIRST_TRIP, SERVICE_ENDED, NO_SERVICE: the next known departure, if any
    headway_s: tuple[int, int] | None = None  # HEADWAY: from, to
    headway_planned: bool = False  # these are the plan's figures: too few vehicles were seen lately to say better


class BoardAlert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What passengers at one stop must know now, of a GTFS-Realtime Alert. Those that fill the board come first."""

    id: str
    header: Text
    text: Text = {}
    effect: str = ""  # GTFS-Realtime's Effect in lower case: "detour", "no_service", "stop_moved"
    takeover: bool = False  # fills the board
    routes: list[str] = []  # as painted on the bus; none: all that call here
    until_ms: int | None = None  # when it ends by itself


class StopBoard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All lines of one stop, those with arrivals first."""

    stop: str
    code: str
    name: Text
    lines: list[Line]
    alerts: list[BoardAlert] = []


class Resume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a board that comes back was, with the same stops. ``stops``: up to which number it knows each."""

    session: str
    sequence: int
    stops: dict[str, int] = {}  # of those not named it knows all up to ``sequence``


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, tag="subscribe", tag_field="type"):
    """First message of a board, and again when it wants other stops. ``board``: name of the panel, for the logs."""

    stops: list[str]
    resume: Resume | None = None
    board: str = ""
    key: str = ""  # of a registered board


class Ack(msgspec.Struct, frozen=True, kw_only=True, tag="ack", tag_field="type"):
    """All up to ``sequence`` is on the screen since ``painted_ms``, by the server's clock as the board knows it."""

    sequence: int
    painted_ms: int


FromBoard = Subscribe | Ack


class Hello(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="hello", tag_field="type"):
    """First frame. ``rate``: city seconds per wall second. All ``…_s`` are seconds of the wall clock."""

    protocol: int
    server_ms: int
    rate: float
    session: str
    time_zone: str
    utc_offset_s: int  # of the city now: old browsers know time zones badly
    heartbeat_s: float
    stale_after_s: float  # nothing heard for so long: say so
    drop_after_s: float  # and for so long: live rows go, clock, name and timetable stay
    resumed: bool  # True: changes follow; False: snapshots follow
    spread_s: float = 0  # when the server has gone, wait a random 0…spread_s before the first try


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot", tag_field="type"):
    """Everything of one stop. ``as_of_ms``: up to when tracking has spoken, None if never.

    ``sequence`` is 0 in all but the last snapshot of a subscription: a board cut off in between has not got them all.
    """

    sequence: int
    server_ms: int
    as_of_ms: int | None
    board: StopBoard


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="change", tag_field="type"):
    """Lines of one stop as they are now; the stop's other lines stay as they are.

    ``alerts``: all of the stop, None if they are as they were; ``lines`` may then be empty. ``after``: number of the
    change of this stop before; who does not have that one has missed something.
    ``fix_ms``: the newest fix that led to this change, None if time alone did; so delays can be told from fix to board.
    """

    sequence: int
    server_ms: int
    as_of_ms: int | None
    stop: str
    lines: list[Line]
    alerts: list[BoardAlert] | None = None
    after: int = 0
    fix_ms: int | None = None


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="heartbeat", tag_field="type"):
    """Nothing changed; the connection lives, and tracking too if ``as_of_ms`` grows."""

    sequence: int
    server_ms: int
    utc_offset_s: int
    as_of_ms: int | None
    spread_s: float = 0  # as in ``Hello``, for the boards of now


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="problem", tag_field="type"):
    """What was wrong with a message: code (``outcomes.Problem``), field, value and rule."""

    code: str
    field: str
    value: str
    rule: str


def quoted(text: str) -> str:
    """Return what of a wrong value is said back, or logged: its beginning, without what cannot be seen or encoded."""
    return "".join(character for character in text[:QUOTED_MAX] if character.isprintable())


ToBoard = Hello | Snapshot | Change | Heartbeat | Refusal | Configuration


class BoardAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/stops/{stop}/board``, for boards that poll."""

    server_ms: int
    rate: float
    time_zone: str
    utc_offset_s: int
    as_of_ms: int | None
    board: StopBoard


class FoundStop(msgspec.Struct, frozen=True, kw_only=True):
    """One result of ``GET /api/stops?query=…``. ``towards``: where buses go from here, to tell two platforms apart."""

    stop: str
    code: str
    name: Text
    towards: Text
    routes: list[str]
    lat: float
    lon: float


class FoundStops(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/stops``."""

    stops: list[FoundStop]
