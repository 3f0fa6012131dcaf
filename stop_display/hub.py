"""All boards' contents: takes what tracking changed, says which bytes go to the boards of which stop. No socket.

A stop is *open* while somebody looks at it, and a while longer so that a board that lost its connection can go on.
Work is done per line of a stop, only where something changed or time may have changed it, and what is sent is encoded
once for all boards of the stop.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gtfs_data.network import Network
from stop_display.board import STANDING_MPS, LineBoard, Moment, in_order
from stop_display.frames import text_frame
from stop_display.headway import Passages
from stop_display.model import BoardAlert, Change, Line, Resume, StopBoard
from stop_display.open_stop import Frame, OpenStop
from stop_display.plan import Plan
from stop_display.posted import alerts_of
from stop_display.search import name_of
from transit.model import Arrival, Detour, Update, VehiclePosition
from transit.notices import Cancelled, Notices
from transit.outcomes import DetourState

REVIEW_S: Final = 3.0  # of wall time: how late a line may notice that time alone changed it, and a little more:
REVIEWS_PART: Final = 10  # at most one in so many stops is reviewed at a time, so that changes do not wait for all
REVIEWS_MIN: Final = 8
LINGER_S: Final = 120.0  # of wall time: how long a stop that nobody looks at stays open

_encoder: Final = msgspec.json.Encoder()


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot", tag_field="type"):
    """``model.Snapshot`` with a board that is encoded already."""

    sequence: int
    server_ms: int
    as_of_ms: int | None
    board: msgspec.Raw


class Hub:
    """The contents of all boards of a network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.plan = Plan(network)
        self.sequence = 0
        self.as_of_ms: int | None = None
        self._arrivals: dict[str, dict[str, Arrival]] = {}  # stop id → key → arrival
        self._run_of: dict[str, str] = {}  # vehicle id → run key
        self._on_run: dict[str, VehiclePosition] = {}  # run key → vehicle
        self._fix_of: dict[str, int] = {}  # vehicle id → time of its last fix
        self._open: dict[str, OpenStop] = {}
        self._changed: dict[str, None] = {}  # open stops of which tracking said something, those told first first
        self._detours: dict[str, Detour] = {}
        self._missed: frozenset[int] = frozenset()  # pattern rows that confirmed detours leave out
        self._heard = False
        self._occupancy: Mapping[str, str] = {}
        self._passages = Passages(network)
        self._notices = Notices()
        self._notices_change_ms: int | None = None
        self._cancelled = Cancelled()

    def fill(self, occupancy: Mapping[str, str]) -> None:
        """Take how full vehicles are, by vehicle id. Boards show it at their next change or review."""
        self._occupancy = occupancy

    def heed(self, notices: Notices, now_ms: int) -> None:
        """Take all that dispatchers say; boards are told at once."""
        self._notices = notices
        self._heed_at(now_ms)

    def knows(self, stop_id: str) -> bool:
        """Return whether the network has a stop of that id."""
        return stop_id in self.network.stop_by_id

    def replace(
        self,
        arrivals: Iterable[Arrival],
        vehicles: Iterable[VehiclePosition],
        as_of_ms: int | None,
        detours: Iterable[Detour] = (),
    ) -> None:
        """Take a snapshot as all there is."""
        self._arrivals.clear()
        for stop in self._open.values():
            stop.live.clear()
            stop.line_of.clear()
        self._run_of.clear()
        self._on_run.clear()
        self._fix_of.clear()
        self._detours.clear()
        update = Update(
            as_of_ms=as_of_ms or 0,
            vehicles=list(vehicles),
            arrivals=list(arrivals),
            withdrawn=[],
            detours=list(detours),
        )
        self.apply(update)
        self.as_of_ms = as_of_ms
        self._missed = self._rows_missed()
        self._review_all()

    def apply(self, update: Update) -> None:
        """Take one entry of the change feed."""
        for vehicle_id in update.gone:
            self._leave_run(vehicle_id)
            self._fix_of.pop(vehicle_id, None)
            self._passages.forget(vehicle_id)
        fixed = self._new_fixes(update.vehicles)
        for vehicle in update.vehicles:
            self._place(vehicle)
        for key in update.withdrawn:
            gone = self._arrivals.get(key.stop_id, {}).pop(key.key, None)
            stop = self._open.get(key.stop_id)
            if gone is not None and stop is not None:
                stop.drop(key.key, fixed.get(gone.vehicle_id, 0))
                self._changed[key.stop_id] = None
        for arrival in update.arrivals:
            self._arrivals.setdefault(arrival.stop_id, {})[arrival.key] = arrival
            stop = self._open.get(arrival.stop_id)
            if stop is not None:
                stop.take(arrival, fixed.get(arrival.vehicle_id, 0))
                self._changed[arrival.stop_id] = None
        self.as_of_ms = update.as_of_ms
        if update.detours:
            self._lead(update.detours)

    def open(self, stop_ids: Iterable[str], now_ms: int, wall_s: float) -> None:
        """Keep stops up to date for one more board: all of them, or none if one cannot be made."""
        for stop in [self._opened(stop_id, now_ms, wall_s) for stop_id in stop_ids]:
            stop.boards += 1

    def leave(self, stop_id: str, wall_s: float) -> None:
        """Note that a board no longer looks at a stop."""
        stop = self._open[stop_id]
        stop.boards -= 1
        stop.left_s = wall_s

    def due(self, now_ms: int, wall_s: float) -> list[str]:
        """Return the open stops to ``renew`` now: those that changed first, then those that time may have changed.

        So whatever changes while stops are renewed waits about as long, wherever its stop is. Stops that nobody needs
        any more are closed.
        """
        if self._notices_change_ms is not None and now_ms >= self._notices_change_ms:
            self._heed_at(now_ms)
        heard = self._moment(now_ms).heard
        if heard != self._heard:
            self._heard = heard
            self._review_all()
        due = []
        reviews = max(REVIEWS_MIN, len(self._open) // REVIEWS_PART)
        for stop_id, stop in list(self._open.items()):
            if stop.boards == 0 and wall_s - stop.left_s > LINGER_S:
                del self._open[stop_id]
                continue
            if wall_s - stop.reviewed_s >= REVIEW_S and (reviews > 0 or stop.reviewed_s == -math.inf):
                reviews -= 1
                stop.review(wall_s)
            if stop.dirty or stop.alerts_due:
                due.append(stop_id)
        place = {stop_id: number for number, stop_id in enumerate(self._changed)}
        self._changed.clear()
        return sorted(due, key=lambda stop_id: place.get(stop_id, len(place)))

    def renew(self, stop_id: str, now_ms: int, wall_s: float) -> Frame | None:
        """Return what the boards of an open stop must be told now, if anything.

        What changed is looked at once: a stop that cannot be made shows what it did until its next change or review.
        """
        stop, moment = self._open[stop_id], self._moment(now_ms)
        dirty, stop.dirty = stop.dirty, {}
        if len(dirty) == len(stop.board.lines):
            stop.reviewed_s = wall_s
        lines = [(stop.lines[key], stop.renewed(key, moment)) for key in dirty]
        changed = [line for shown, line in lines if line != shown]
        alerts = self._new_alerts(stop_id, stop, now_ms)
        if not changed and alerts is None:
            return None
        stop.lines.update((line.key, line) for line in changed)
        self.sequence += 1
        fix_ms = max((dirty.get(line.key, 0) for line in changed), default=0) or None
        message = Change(
            sequence=self.sequence,
            server_ms=now_ms,
            as_of_ms=moment.as_of_ms,
            stop=stop_id,
            lines=changed,
            alerts=alerts,
            after=stop.last,
            fix_ms=fix_ms,
        )
        wire = text_frame(_encoder.encode(message))
        frame = Frame(stop_id=stop_id, sequence=self.sequence, wire=wire, fix_ms=fix_ms, made_s=wall_s)
        stop.encoded = None
        stop.keep(frame)
        return frame

    def snapshots(self, stop_ids: Sequence[str], now_ms: int) -> list[bytes]:
        """Return everything that boards of open stops show, as JSON; what a stop shows is encoded once for all.

        Only the last carries a sequence: a board cut off before that must not go on as if it had them all.
        """
        return [
            _encoder.encode(
                _Snapshot(
                    sequence=self.sequence if stop_id == stop_ids[-1] else 0,
                    server_ms=now_ms,
                    as_of_ms=self.as_of_ms,
                    board=self._encoded(stop_id),
                )
            )
            for stop_id in stop_ids
        ]

    def _encoded(self, stop_id: str) -> msgspec.Raw:
        stop = self._open[stop_id]
        if stop.encoded is None:
            stop.encoded = msgspec.Raw(_encoder.encode(self._board(stop_id, stop.lines.values(), stop.alerts)))
        return stop.encoded

    def welcome(
        self, stop_ids: Sequence[str], resume: Resume | None, session: str, now_ms: int
    ) -> tuple[list[bytes], bool]:
        """Return the frames for a board that comes to open stops: what it missed (True), or everything (False)."""
        if resume is not None and resume.session == session:
            missed = self.since({stop_id: resume.stops.get(stop_id, resume.sequence) for stop_id in stop_ids})
            if missed is not None:
                return [frame.wire for frame in missed], True
        return [text_frame(snapshot) for snapshot in self.snapshots(stop_ids, now_ms)], False

    def since(self, known: Mapping[str, int]) -> list[Frame] | None:
        """Return what boards were told after the number ``known`` of each open stop; None if it is not held."""
        stops = [(self._open[stop_id], sequence) for stop_id, sequence in known.items()]
        if any(not stop.since <= sequence <= self.sequence for stop, sequence in stops):
            return None
        missed = (frame for stop, sequence in stops for frame in stop.history if frame.sequence > sequence)
        return sorted(missed, key=lambda frame: frame.sequence)

    def board(self, stop_id: str, now_ms: int) -> StopBoard:
        """Return the board of any stop, open or not."""
        stop = self._open.get(stop_id)
        if stop is not None:
            return self._board(stop_id, stop.lines.values(), stop.alerts)
        return self._board(stop_id, self._true_lines(stop_id, now_ms).values(), self._alerts(stop_id, now_ms))

    def _heed_at(self, now_ms: int) -> None:
        """Note what holds now; boards are made anew where runs are cancelled now, or no longer."""
        self._notices_change_ms = self._notices.changes_after(now_ms)
        before, self._cancelled = self._cancelled, self._notices.cancelled_at(now_ms)
        if self._cancelled != before:
            self._review_all()
        for stop in self._open.values():
            stop.alerts_due = True

    def _alerts(self, stop_id: str, now_ms: int) -> list[BoardAlert]:
        return alerts_of(self.plan, stop_id, self._notices.alerts_at(now_ms), now_ms)

    def _new_alerts(self, stop_id: str, stop: OpenStop, now_ms: int) -> list[BoardAlert] | None:
        """Return all alerts of an open stop, None if they are those shown."""
        if not stop.alerts_due:
            return None
        stop.alerts_due = False
        before, stop.alerts = stop.alerts, self._alerts(stop_id, now_ms)
        return stop.alerts if stop.alerts != before else None

    def vehicle(self, vehicle_id: str) -> VehiclePosition | None:
        """Return where a vehicle is, None if it is on no run."""
        vehicle = self._on_run.get(self._run_of.get(vehicle_id, ""))
        return vehicle if vehicle is not None and vehicle.vehicle_id == vehicle_id else None

    def _lead(self, detours: Iterable[Detour]) -> None:
        """Take new, changed and ended detours; boards are made anew where stops are left out now, or no longer."""
        for detour in detours:
            self._detours.pop(detour.detour_id, None)
            if detour.state == DetourState.CONFIRMED:
                self._detours[detour.detour_id] = detour
        before, self._missed = self._missed, self._rows_missed()
        if self._missed != before:
            self._review_all()

    def _rows_missed(self) -> frozenset[int]:
        first = self.network.patterns.first
        return frozenset(
            int(first[pattern]) + place
            for detour in self._detours.values()
            for line in detour.lines
            for pattern, places in zip(line.patterns, line.missed, strict=True)
            if pattern < len(self.network.patterns)  # of another feed
            for place in places
        )

    def _review_all(self) -> None:
        for stop in self._open.values():
            stop.reviewed_s = -math.inf

    def _opened(self, stop_id: str, now_ms: int, wall_s: float) -> OpenStop:
        stop = self._open.get(stop_id)
        if stop is None:
            index = self.network.stop_by_id[stop_id]
            self.sequence += 1  # what was shown here before is not known: nobody can go on from an earlier number
            stop = OpenStop(index=index, board=LineBoard(self.plan, index), since=self.sequence, reviewed_s=wall_s)
            for arrival in self._arrivals.get(stop_id, {}).values():
                stop.take(arrival, 0)
            stop.dirty.clear()
            stop.lines = dict(self._true_lines(stop_id, now_ms))
            stop.alerts = self._alerts(stop_id, now_ms)
            self._open[stop_id] = stop
        return stop

    def _true_lines(self, stop_id: str, now_ms: int) -> Mapping[str, Line]:
        board, moment = LineBoard(self.plan, self.network.stop_by_id[stop_id]), self._moment(now_ms)
        live = self._live(stop_id, board)
        return {key: board.line(key, live.get(key, ()), moment) for key in board.lines}

    def _live(self, stop_id: str, board: LineBoard) -> Mapping[str, Sequence[Arrival]]:
        by_line: defaultdict[str, list[Arrival]] = defaultdict(list)
        for arrival in self._arrivals.get(stop_id, {}).values():
            key = board.key_of(arrival)
            if key is not None:
                by_line[key].append(arrival)
        return by_line

    def _new_fixes(self, vehicles: Iterable[VehiclePosition]) -> Mapping[str, int]:
        """Return the fixes that came with an update; a vehicle that falls silent changes without one."""
        fixed = {
            vehicle.vehicle_id: vehicle.fix_ms
            for vehicle in vehicles
            if vehicle.fix_ms > self._fix_of.get(vehicle.vehicle_id, 0)
        }
        self._fix_of.update(fixed)
        return fixed

    def _place(self, vehicle: VehiclePosition) -> None:
        if self._run_of.get(vehicle.vehicle_id) != vehicle.run_key:
            self._leave_run(vehicle.vehicle_id)
        if vehicle.run_key:
            self._run_of[vehicle.vehicle_id] = vehicle.run_key
            self._on_run[vehicle.run_key] = vehicle
        self._passages.note(vehicle)
        stop = self._open.get(vehicle.next_stop_id)
        if stop is not None and vehicle.speed_mps is not None and vehicle.speed_mps <= STANDING_MPS:
            stop.stands(vehicle)

    def _leave_run(self, vehicle_id: str) -> None:
        run_key = self._run_of.pop(vehicle_id, "")
        holder = self._on_run.get(run_key)
        if holder is not None and holder.vehicle_id == vehicle_id:  # another may have taken the run over
            del self._on_run[run_key]

    def _moment(self, now_ms: int) -> Moment:
        return Moment(
            now_ms=now_ms,
            as_of_ms=self.as_of_ms,
            on_run=self._on_run,
            missed=self._missed,
            occupancy=self._occupancy,
            cancelled=self._cancelled,
            passages=self._passages.by_row,
        )

    def _board(self, stop_id: str, lines: Iterable[Line], alerts: list[BoardAlert]) -> StopBoard:
        index = self.network.stop_by_id[stop_id]
        return StopBoard(
            stop=stop_id,
            code=self.network.stops.codes[index],
            name=name_of(self.network, index),
            lines=in_order(lines),
            alerts=alerts,
        )
