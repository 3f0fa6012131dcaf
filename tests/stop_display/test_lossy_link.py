"""Whatever a link loses, doubles or reorders, a board never shows what the server did not, nor anything twice."""

import dataclasses
from collections.abc import Callable, Mapping

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stop_display.following import Follower, Taken
from stop_display.frames import payload_of, text_frame
from stop_display.hub import Hub
from stop_display.model import PROTOCOL, Change, Heartbeat, Hello, Refusal, StopBoard
from stop_display.open_stop import HISTORY_MAX
from stop_display.session import Session
from tests.notation.town import at
from tests.stop_display.hearing import change_of, decoded, frames_of
from tests.stop_display.scenes import bus, street, update
from tests.transit.test_notices import alert
from transit.notices import Informed, Notices

NOW = at("08:00")
SESSION = "one run of the server"
STOPS = ("S0", "S1", "S2", "S3")
NETWORK = street()


@dataclasses.dataclass
class Link:
    """One connection: frames under way to the board, the next first."""

    under_way: list[bytes] = dataclasses.field(default_factory=list)


class World:
    """The server's contents, a board, and the link between them. ``truth``: what each stop showed at each number."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self.hub, self.stops, self.now_ms, self.wall_s = Hub(NETWORK), stops, NOW, 0.0
        self.hub.apply(update(NOW))
        self.board = Follower(stops)
        self.link: Link | None = None
        self.truth: dict[str, list[tuple[int, StopBoard]]] = {stop: [] for stop in stops}
        self.painted: list[tuple[str, int]] = []
        self.connections = 0

    def connect(self) -> None:
        self.connections += 1
        said = msgspec.json.encode(self.board.subscribe()).decode()
        heard = Session(self.hub.knows).hear(said, self.wall_s)
        assert heard.stops == self.stops, heard.refusals
        self.hub.open(heard.stops, self.now_ms, self.wall_s)
        for stop in self.stops:
            self._note(stop, self.hub.sequence)
        frames, resumed = self.hub.welcome(heard.stops, heard.resume, SESSION, self.now_ms)
        hello = Hello(
            protocol=PROTOCOL,
            server_ms=self.now_ms,
            rate=1.0,
            session=SESSION,
            time_zone="Asia/Qyzylorda",
            utc_offset_s=18_000,
            heartbeat_s=10,
            stale_after_s=60,
            drop_after_s=90,
            resumed=resumed,
        )
        self.link = Link([text_frame(msgspec.json.encode(hello)), *frames])

    def cut(self) -> None:
        if self.link is not None:
            self.link = None
            for stop in self.stops:
                self.hub.leave(stop, self.wall_s)

    def happen(self, stop: int, minute: int) -> None:
        """Let a bus be expected at another time, or an alert come or go."""
        self.wall_s += 0.1
        self.now_ms += 100
        if minute < 0:
            alerts = (alert("a", NOW, NOW + 10_000_000, informed=[Informed(stop_id=f"S{stop}")]),)
            self.hub.heed(Notices(alerts=alerts if minute == -1 else ()), self.now_ms)
        else:
            arrives_ms = self.now_ms + 60_000 * (5 + minute)
            self.hub.apply(update(self.now_ms, bus(arrives_ms, stop=f"S{stop}", sequence=stop + 1)))
        frames = frames_of(self.hub, self.now_ms, self.wall_s)
        for frame in frames:
            if frame.stop_id in self.stops:
                self._note(frame.stop_id, frame.sequence)
        if self.link is not None:
            self.link.under_way += [frame.wire for frame in frames if change_of(frame).stop in self.stops]

    def deliver(self, place: int, *, again: bool = False) -> None:
        """Deliver one of the next frames, not always the first; ``again``: it stays under way, too."""
        if self.link is None or not self.link.under_way:
            return
        place %= len(self.link.under_way)
        frame = self.link.under_way[place]
        if not again:
            del self.link.under_way[place]
        message = decoded(payload_of(frame).decode())
        taken = self.board.take(message)
        if taken is Taken.OUT_OF_ORDER:
            self.cut()
        elif taken is Taken.NEW and isinstance(message, Change):
            assert (message.stop, message.sequence) not in self.painted, "a change is painted once"
            self.painted.append((message.stop, message.sequence))
        self.check()

    def check(self) -> None:
        """What is shown of each stop is what the server showed at the number that the board says."""
        for stop, sequence in self.board.sequences.items():
            shown = [board for number, board in self.truth[stop] if number <= sequence][-1]
            assert same(self.board.board(stop), shown), (stop, sequence)

    def settle(self) -> None:
        """Let the link lose nothing more: a cut, a new connection, and everything in order."""
        self.cut()
        for _ in range(3):  # twice it may have to begin anew
            if self.link is None:
                self.connect()
            while self.link is not None and self.link.under_way:
                self.deliver(0)
        for stop in self.stops:
            assert same(self.board.board(stop), self.hub.board(stop, self.now_ms))

    def lose(self, place: int) -> None:
        if self.link is not None and self.link.under_way:
            del self.link.under_way[place % len(self.link.under_way)]

    def be_away(self, changes: int) -> None:
        self.cut()
        for number in range(changes):
            self.happen(number % 4, number % 15)

    def _note(self, stop: str, sequence: int) -> None:
        self.truth[stop].append((sequence, self.hub.board(stop, self.now_ms)))


def same(one: StopBoard | None, other: StopBoard) -> bool:
    return one is not None and by_key(one) == by_key(other) and one.alerts == other.alerts


def by_key(board: StopBoard) -> Mapping[str, object]:
    return {line.key: line for line in board.lines}


Step = Callable[[World], None]

steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda stop, minute: lambda world: world.happen(stop, minute),
        st.integers(0, 3),
        st.sampled_from((-2, -1, -1, 2, 7)),
    ),
    st.builds(lambda place: lambda world: world.deliver(place), st.integers(0, 3)),
    st.builds(lambda many: lambda world: [world.deliver(0) for _ in range(many)], st.integers(1, 6)),
    st.builds(lambda place: lambda world: world.deliver(place, again=True), st.integers(0, 2)),
    st.builds(lambda place: lambda world: world.lose(place), st.integers(0, 3)),
    st.just(lambda world: world.deliver(0)),
    st.just(World.cut),
    st.builds(lambda changes: lambda world: world.be_away(changes), st.integers(1, HISTORY_MAX + 5)),
)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 4), st.lists(steps, min_size=20, max_size=60))
def test_a_board_shows_only_what_the_server_showed_and_each_change_once(stops: int, story: list[Step]) -> None:
    world = World(STOPS[:stops])
    for step in story:
        if world.link is None:
            world.connect()
        step(world)
    world.settle()


def test_after_a_cut_a_board_gets_what_it_missed_of_each_stop_and_no_more() -> None:
    world = World(("S0", "S1"))
    world.connect()
    for _ in range(3):
        world.deliver(0)
    world.happen(1, 3)
    while world.link is not None and world.link.under_way:
        world.deliver(0)
    world.happen(0, 4)
    world.cut()
    world.connect()
    assert world.link is not None
    hello, *missed = [decoded(payload_of(frame).decode()) for frame in world.link.under_way]
    assert isinstance(hello, Hello)
    assert (hello.resumed, [one.stop for one in missed if isinstance(one, Change)]) == (True, ["S0"])


def test_a_stop_that_the_server_does_not_have_is_not_waited_for() -> None:
    world = World(("S0",))
    world.board = Follower(["S0", "gone"])
    world.connect()
    assert world.link is not None
    unknown = Refusal(code="unknown_stop", field="stops", value="gone", rule="no such stop in this city")
    world.link.under_way.insert(0, text_frame(msgspec.json.encode(unknown)))
    while world.link is not None and world.link.under_way:
        world.deliver(0)
    assert world.link is not None, "it was not taken for a link that lost something"
    assert set(world.board.sequences) == {"S0"}


def test_a_heartbeat_tells_how_far_to_spread_and_before_hello_nothing_counts() -> None:
    board = Follower(["S0"])
    heartbeat = Heartbeat(sequence=1, server_ms=1, utc_offset_s=0, as_of_ms=None, spread_s=4.5)
    assert board.take(heartbeat) is Taken.OUT_OF_ORDER
    world = World(("S0",))
    world.connect()
    world.deliver(0)
    assert world.board.take(heartbeat) is Taken.NEW
    assert world.board.spread_s == 4.5
