"""What is true for one line at one stop now: arrivals of tracking joined with the plan. Pure.

Live rows come only from what tracking publishes, and only while tracking is heard; a planned run whose vehicle is not
heard stays a planned time, so marked, until its time has passed. A run whose vehicle has already left this stop behind
is not shown again from the timetable. Where a detour leaves a stop out, its planned times are not shown: no bus comes.
A run that the dispatcher cancelled is shown as cancelled until its planned time has passed, whatever vehicle is on it.
"""

import bisect
import functools
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gtfs_data.calendar import local_date
from gtfs_data.model import TripId
from gtfs_data.network import Network
from stop_display.agenda import HORIZON_MS, Agenda, Departure, agenda_of
from stop_display.expected import Coming, Expected, call_of
from stop_display.headway import PASSED_M, Headway, headway_of
from stop_display.model import BoardArrival, Line
from stop_display.outcomes import LineState, Wheelchair
from stop_display.plan import Plan, PlannedCall, PlannedLine
from transit.model import Arrival, VehiclePosition
from transit.outcomes import ArrivalState

ROWS_MAX: Final = 3
HEARD_MAX_MS: Final = 90_000  # GTFS-Realtime best practices: data older than 90 s is not shown as live
OVERDUE_MAX_MS: Final = 30_000  # so long a bus that should have come is due; then it is gone, whatever tracking says
STANDING_MPS: Final = 1.5
STANDING_MAX_MS: Final = 30_000  # a fix older than that does not say that the vehicle still stands here
AT_STOP_MAX_MS: Final = 60_000  # nor is a vehicle at the stop that is expected later than this
NOTHING_COMES: Final = Coming(Expected())
FOLLOWED: Final = frozenset({ArrivalState.LIVE.value, ArrivalState.LIVE_TERMINAL.value})
ACCESSIBLE, INACCESSIBLE = 1, 2  # GTFS wheelchair_accessible, wheelchair_boarding


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What is known city-wide at ``now_ms``: up to when tracking has spoken, and which vehicle is on which run.

    A Struct although it crosses no border: it is made for each stop that is renewed, a quarter as long as a dataclass.
    """

    now_ms: int
    as_of_ms: int | None
    on_run: Mapping[str, VehiclePosition]
    missed: frozenset[int] = frozenset()  # pattern rows at which no bus stops, for a detour
    occupancy: Mapping[str, str] = {}  # vehicle id → how full it is
    cancelled: Container[str] = frozenset()  # run keys
    passages: Mapping[int, Sequence[int]] = {}  # pattern row → when vehicles passed lately

    @property
    def heard(self) -> bool:
        """Whether tracking speaks: live rows are shown only then."""
        return self.as_of_ms is not None and self.now_ms - self.as_of_ms <= HEARD_MAX_MS


class _Row(msgspec.Struct, frozen=True, gc=False):
    """A row of a followed bus, and all that it was made of: where none of it is new, the row is not made anew."""

    arrival: Arrival
    vehicle: VehiclePosition | None
    missed: frozenset[int]
    occupancy: str
    shown: BoardArrival


class LineBoard:
    """Makes the lines of one stop."""

    def __init__(self, plan: Plan, stop: int) -> None:
        self._plan = plan
        self._network: Network = plan.network
        self._stop = stop
        self._wheelchair_here = int(plan.network.stops.wheelchair[stop])
        self._agendas: dict[str, Agenda] = {}
        self._rows: dict[str, dict[str, _Row]] = {}  # line → key → the last row of a followed bus
        self.lines = plan.lines(stop)

    def key_of(self, arrival: Arrival) -> str | None:
        """Return the line that an arrival belongs to; None where nobody boards."""
        if arrival.last_stop:
            return None
        key = f"{arrival.route_id}|{arrival.headsign}"
        if key in self.lines:
            return key
        route = self._network.route_by_id.get(arrival.route_id, -1)
        same = [line for line in self.lines.values() if line.route == route]
        near = [line for line in same if line.direction == arrival.direction_id] or same
        return near[0].key if near else None

    def coming(self, key: str, expected: Expected, moment: Moment) -> Coming:
        """Return what of tracking's arrivals of a line is still to come: nothing while it is not heard.

        A bus that should have come is due for a while; after that it is shown only while it stands at the stop.
        """
        if not moment.heard:
            return NOTHING_COMES
        overdue = expected.before(moment.now_ms - OVERDUE_MAX_MS)
        if not overdue:
            return Coming(expected)
        line = self.lines[key]
        gone = (one.key for one in overdue if not self._stands(one, *self._vehicle_of(one, line, moment), moment))
        return Coming(expected, frozenset(gone))

    def line(self, key: str, live: Iterable[Arrival], moment: Moment, served: Container[str] = ()) -> Line:
        """Return the line ``key`` as it is at ``moment``, tracking's arrivals of it being ``live``."""
        return self.line_of(key, self.coming(key, Expected(live), moment), moment, served)

    def line_of(self, key: str, coming: Coming, moment: Moment, served: Container[str] = ()) -> Line:
        """Return the line ``key`` as it is at ``moment``.

        ``coming`` is what ``self.coming`` says, ``served`` the calls (``call_of``) that are not shown any more.
        """
        planned, agenda = self.lines[key], self._agenda(key, moment)
        soonest, any_runs = self._soonest_of(coming, moment, served)
        arrivals = self._followed_rows(soonest, planned, moment)
        if agenda.departures or not any_runs:
            timetable = self._timetable(planned, agenda, coming, moment, served, live=any_runs)
            arrivals = _soonest([*arrivals, *timetable])
        headway = self._headway(planned, agenda, [arrival.arrival_ms for arrival in soonest], moment)
        state, first_ms = self._state(planned, arrivals, headway, moment)
        return self._named(planned, state, arrivals, first_ms, headway)

    def _agenda(self, key: str, moment: Moment) -> Agenda:
        agenda = self._agendas.get(key)
        if agenda is None or not agenda.good(moment.now_ms, moment.cancelled):
            noted = functools.partial(self._noted, self.lines[key], moment.cancelled)
            agenda = agenda_of(self._plan, self._stop, key, moment.now_ms, moment.cancelled, noted)
            self._agendas[key] = agenda
        return agenda

    def _soonest_of(self, coming: Coming, moment: Moment, served: Container[str]) -> tuple[list[Arrival], bool]:
        """Return the soonest arrivals to show, and whether any run comes that is not cancelled, shown or not."""
        found: list[Arrival] = []
        any_runs, cancelled = False, moment.cancelled
        for arrival in coming:
            if cancelled and arrival.run_key in cancelled:
                continue
            any_runs = True
            if not served or call_of(arrival.run_key, arrival.stop_sequence) not in served:
                found.append(arrival)
                if len(found) == ROWS_MAX:
                    break
        return found, any_runs

    def _followed_rows(self, soonest: Sequence[Arrival], line: PlannedLine, moment: Moment) -> list[BoardArrival]:
        before, kept, shown = self._rows.get(line.key, {}), dict[str, _Row](), list[BoardArrival]()
        for arrival in soonest:
            vehicle, last = moment.on_run.get(arrival.run_key), before.get(arrival.key)
            occupancy = ""
            if moment.occupancy and arrival.state == ArrivalState.LIVE:
                occupancy = moment.occupancy.get(arrival.vehicle_id, "")
            if (
                last is None
                or last.arrival is not arrival
                or last.vehicle is not vehicle
                or last.missed is not moment.missed
                or last.occupancy != occupancy
            ):
                made = self._followed(arrival, line, occupancy, moment)
                last = _Row(arrival, vehicle, moment.missed, occupancy, made)
            shown.append(last.shown)
            if vehicle is None or not _slow(vehicle):  # whether one that stands is at the stop is a matter of time, too
                kept[arrival.key] = last
        self._rows[line.key] = kept
        return shown

    def _followed(self, arrival: Arrival, line: PlannedLine, occupancy: str, moment: Moment) -> BoardArrival:
        vehicle, row = self._vehicle_of(arrival, line, moment)
        return BoardArrival(
            key=arrival.key,
            state=arrival.state,
            arrival_ms=arrival.arrival_ms,
            delay_s=None if arrival.scheduled_ms is None else (arrival.arrival_ms - arrival.scheduled_ms) // 1000,
            wheelchair=self._wheelchair(self._trip(arrival.trip_id), line),
            at_stop=self._stands(arrival, vehicle, row, moment),
            p10_ms=arrival.arrival_p10_ms,
            p90_ms=arrival.arrival_p90_ms,
            scheduled_ms=arrival.scheduled_ms,
            vehicle=arrival.vehicle_id,
            fix_ms=arrival.fix_ms,
            stops_away=self._stops_away(vehicle, row, moment),
            occupancy=occupancy,
        )

    def _vehicle_of(
        self, arrival: Arrival, line: PlannedLine, moment: Moment
    ) -> tuple[VehiclePosition | None, int | None]:
        """Return the vehicle and the pattern row at which it calls here; None while it is not yet on this run."""
        vehicle = moment.on_run.get(arrival.run_key)
        if vehicle is None or vehicle.offset_m is None or vehicle.vehicle_id != arrival.vehicle_id:
            return None, None
        return vehicle, line.row_of.get((vehicle.pattern, arrival.stop_sequence))

    def _stops_away(self, vehicle: VehiclePosition | None, row: int | None, moment: Moment) -> int | None:
        """Return how many stops the vehicle makes before this one."""
        if vehicle is None or vehicle.offset_m is None or row is None:
            return None
        first, end = self._plan.rows(vehicle.pattern)
        ahead = bisect.bisect_left(self._plan.offset_m, vehicle.offset_m, first, end)
        if not moment.missed:
            return max(row - ahead, 0)
        return sum(between not in moment.missed for between in range(ahead, row))

    def _stands(self, arrival: Arrival, vehicle: VehiclePosition | None, row: int | None, moment: Moment) -> bool:
        """Return whether the vehicle stands at this stop: by its place, its speed and a fix that is fresh."""
        if vehicle is None or vehicle.offset_m is None or row is None or not _slow(vehicle):
            return False
        near = abs(vehicle.offset_m - self._plan.offset_m[row]) <= PASSED_M
        fresh = moment.now_ms - vehicle.fix_ms <= STANDING_MAX_MS
        expected = arrival.state == ArrivalState.LIVE and arrival.arrival_ms - moment.now_ms <= AT_STOP_MAX_MS
        return near and fresh and expected

    def _trip(self, trip_id: str) -> int:
        return self._network.trip_by_id.get(TripId(trip_id), -1) if trip_id else -1

    def _wheelchair(self, trip: int, line: PlannedLine) -> str:
        """Return whether a wheelchair can board: the vehicle must take it, and the stop must not forbid it."""
        of_trip = int(self._network.trips.wheelchair[trip]) if trip >= 0 else line.wheelchair
        if INACCESSIBLE in (of_trip, self._wheelchair_here):
            return Wheelchair.INACCESSIBLE
        return Wheelchair.ACCESSIBLE if of_trip == ACCESSIBLE else ""

    def _timetable(
        self,
        line: PlannedLine,
        agenda: Agenda,
        coming: Coming,
        moment: Moment,
        served: Container[str],
        *,
        live: bool,
    ) -> list[BoardArrival]:
        """Return planned times: the soonest, and as many more as it takes to come to one that is not cancelled.

        ``live``: a bus is followed, so that nobody asks what comes after a long gap.
        """
        now_ms = moment.now_ms
        shown: list[BoardArrival] = []
        runs = False
        for call, name, row in agenda.upcoming(now_ms):
            if runs and len(shown) >= ROWS_MAX:
                break
            cancelled = row.state == ArrivalState.CANCELLED
            followed = not cancelled and name in coming
            if not (followed or name in served or call.row in moment.missed or self._passed(call, moment)):
                shown.append(row)
                runs = runs or not cancelled
        if not live and not runs:
            # A long gap in the middle of the day: the next time, however far; of those cancelled if none is left.
            begun_ms = shown[-1].arrival_ms + 1 if shown else now_ms
            where = (self._stop, line.key, begun_ms, now_ms + HORIZON_MS + 1)
            later = self._plan.call_after_gap(*where, moment.cancelled)
            if later is None and not shown:
                later = self._plan.call_after_gap(*where)
            if later is not None and later.row not in moment.missed:
                shown.append(self._noted(line, moment.cancelled, later).row)
        return shown

    def _noted(self, line: PlannedLine, cancelled: Container[str], call: PlannedCall) -> Departure:
        name = call_of(call.run_key, int(self._network.patterns.stop_sequence[call.row]))
        row = BoardArrival(
            key=f"|{name}",
            state=ArrivalState.CANCELLED if call.run_key in cancelled else ArrivalState.TIMETABLE,
            arrival_ms=call.departure_ms,
            scheduled_ms=call.departure_ms,
            wheelchair=self._wheelchair(call.trip, line),
        )
        return Departure(call, name, row)

    def _passed(self, call: PlannedCall, moment: Moment) -> bool:
        """Return whether the run's vehicle has left this stop behind."""
        vehicle = moment.on_run.get(call.run_key) if moment.heard else None
        if vehicle is None or vehicle.offset_m is None:
            return False
        return vehicle.offset_m > self._plan.offset_m[call.row] + PASSED_M

    def _headway(self, line: PlannedLine, agenda: Agenda, coming_ms: Sequence[int], moment: Moment) -> Headway | None:
        """Return how often the line comes if it runs by headway now; None too if nothing can be claimed of that."""
        if agenda.headway is None or not line.rows_served(moment.missed):
            return None
        passed_ms = [at_ms for row in line.rows for at_ms in moment.passages.get(row, ())]
        if not passed_ms or not moment.heard:
            return agenda.headway
        return headway_of(sorted(passed_ms), coming_ms, agenda.headway, since_ms=agenda.since_ms, now_ms=moment.now_ms)

    def _state(
        self,
        line: PlannedLine,
        arrivals: Sequence[BoardArrival],
        headway: Headway | None,
        moment: Moment,
    ) -> tuple[LineState, int | None]:
        states = {arrival.state for arrival in arrivals}
        if not states.isdisjoint(FOLLOWED):
            return LineState.LIVE, None
        if states:
            return (LineState.TIMETABLE if ArrivalState.TIMETABLE in states else LineState.CANCELLED), None
        if headway is not None:
            return LineState.HEADWAY, None
        if self._led_past(line, moment):
            return LineState.DETOUR, None
        if self._plan.windows(self._stop, line.key, moment.now_ms, moment.cancelled):
            return LineState.NO_DATA, None  # it should run, and nobody has seen it for far too long
        return self._quiet(line, moment)

    def _led_past(self, line: PlannedLine, moment: Moment) -> bool:
        """Return whether buses would come about now if no detour led them past."""
        if not any(row in moment.missed for row in line.rows):
            return False
        now_ms, until_ms = moment.now_ms, moment.now_ms + HORIZON_MS
        calls = self._plan.upcoming(self._stop, line.key, now_ms, until_ms)
        later = self._plan.call_after_gap(self._stop, line.key, now_ms, until_ms + 1)
        return bool(calls or later or self._plan.windows(self._stop, line.key, now_ms))

    def _quiet(self, line: PlannedLine, moment: Moment) -> tuple[LineState, int | None]:
        """Return why nothing comes now, and the next departure; calls that are near would be rows if they came."""
        where = (self._stop, line.key, moment.now_ms, moment.now_ms + HORIZON_MS + 1)
        next_ms, zone = self._plan.next_ms(*where, moment.cancelled), self._network.time_zone
        today = local_date(moment.now_ms, zone)
        planned_ms = self._plan.next_ms(*where)
        runs, planned = (at_ms is not None and local_date(at_ms, zone) == today for at_ms in (next_ms, planned_ms))
        if planned and not runs:
            return LineState.CANCELLED, next_ms
        if next_ms is None:
            return (LineState.NO_SERVICE if moment.heard else LineState.NO_DATA), None
        if self._plan.calls(self._stop, line.key, today).first_ms is None:
            return LineState.NO_SERVICE, next_ms
        return (LineState.BEFORE_FIRST_TRIP if runs else LineState.SERVICE_ENDED), next_ms

    def _named(
        self,
        line: PlannedLine,
        state: LineState,
        arrivals: list[BoardArrival],
        first_ms: int | None,
        headway: Headway | None,
    ) -> Line:
        routes = self._network.routes
        return Line(
            key=line.key,
            route_id=routes.ids[line.route],
            route=routes.short_names[line.route],
            destination=line.destination,
            state=state,
            arrivals=arrivals,
            colour=routes.colors[line.route],
            text_colour=routes.text_colors[line.route],
            first_ms=first_ms,
            headway_s=None if headway is None else (headway.from_s, headway.to_s),
            headway_planned=headway is not None and headway.planned,
        )


def served_as(arrival: BoardArrival) -> str:
    """Return the ``call_of`` a row: its key without the vehicle."""
    return arrival.key.removeprefix(f"{arrival.vehicle}|")


def in_order(lines: Iterable[Line]) -> list[Line]:
    """Return lines as a board lists them: those with arrivals by the first, then the others by route."""
    return sorted(lines, key=lambda line: (_first_ms(line), natural(line.route), line.key))


def natural(name: str) -> tuple[int, str]:
    """Return a key that sorts route 2 before route 10."""
    digits = "".join(character for character in name if character.isdecimal())
    return (int(digits[:9]) if digits else 1_000_000_000, name)


def _soonest(rows: Iterable[BoardArrival]) -> list[BoardArrival]:
    """Return the rows to show: the soonest, and among them the next that runs, however many before it do not."""
    ordered = sorted(rows, key=lambda row: (row.arrival_ms, row.key))
    shown, more = ordered[:ROWS_MAX], ordered[ROWS_MAX:]
    running = next((row for row in more if row.state != ArrivalState.CANCELLED), None)
    if running is not None and all(row.state == ArrivalState.CANCELLED for row in shown):
        shown[-1] = running
    return shown


def _slow(vehicle: VehiclePosition) -> bool:
    """Return whether a vehicle stands, as far as its tracker tells its speed."""
    return vehicle.speed_mps is not None and vehicle.speed_mps <= STANDING_MPS


def _first_ms(line: Line) -> int:
    far = 1 << 62
    if line.arrivals:
        return line.arrivals[0].arrival_ms
    return far if line.state is LineState.HEADWAY else far + 1
