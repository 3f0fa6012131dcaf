"""What the live map is told, as tagged structs: JSON text frames with a ``type``. Times are city time, epoch ms.

The server speaks, the map listens: ``hello`` and ``snapshot`` once, then ``changes`` (only what changed, at most two a
second) and, when nothing does, ``heartbeat``. There is no resuming: a map that lost its connection gets a snapshot.
"""

import msgspec


class Vehicle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vehicle as the map shows it. A field that is left out is not known."""

    id: str
    fix_ms: int
    lat: float
    lon: float
    phase: str  # ``transit.outcomes.Phase``
    heading_deg: float | None = None
    speed_mps: float | None = None
    route: str = ""  # route id
    direction: int = -1
    trip: str = ""
    pattern: int = -1  # place in ``patterns`` of the network document
    next_stop: str = ""  # stop id
    next_ms: int | None = None  # expected arrival there
    deviation_s: int | None = None  # behind the timetable, positive = late
    occupancy: str = ""  # ``transit.outcomes.Occupancy``


class LineShown(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a detour."""

    route: str  # route id
    direction: int


class DetourShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One detour as the map shows it. Places are longitude and latitude."""

    id: str
    state: str  # ``transit.outcomes.DetourState``
    since_ms: int
    last_ms: int  # a vehicle left or came back
    lines: list[LineShown]
    before: str  # stop id: the last one before
    after: str = ""  # the first one after; left out while that is not known
    vehicles: list[str] = []  # that drove it, the latest last
    under_way: list[str] = []  # that are on it now
    missed: list[str] = []  # stop ids
    extra_s: int | None = None  # longer than the regular way
    standing: bool = False  # for so long that the line is probably drawn wrongly
    left_out: list[list[tuple[float, float]]] = []  # of each line, the stretch that is not driven
    path: list[tuple[float, float]] = []  # the way last driven


class StopAhead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An arrival expected on the vehicle's present run."""

    stop: str
    arrival_ms: int
    arrival_p10_ms: int
    arrival_p90_ms: int
    scheduled_ms: int | None = None


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """First frame. ``rate``: city seconds per wall second; ``feed_hash``: which network document belongs here."""

    server_ms: int
    rate: float
    feed_hash: str
    heartbeat_s: float  # a map that hears nothing for three times as long reconnects


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot"):
    """Every vehicle and detour. ``as_of_ms``: up to when tracking has spoken, 0 if never."""

    server_ms: int
    as_of_ms: int
    vehicles: list[Vehicle]
    detours: list[DetourShown] = []


class Changed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="changes"):
    """The latest of each vehicle that changed since the last message, and the ids of those that left the map.

    ``detours``: all there are, if anything about them changed.
    """

    server_ms: int
    as_of_ms: int
    vehicles: list[Vehicle]
    gone: list[str]
    detours: list[DetourShown] | None = None


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """Nothing changed; the connection and, if ``as_of_ms`` grows, tracking are alive."""

    server_ms: int
    as_of_ms: int


Message = Hello | Snapshot | Changed | Heartbeat
