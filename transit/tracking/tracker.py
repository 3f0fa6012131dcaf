"""The tracker: a batch of position reports and the time in, what changed out.

``advance`` runs clean → match → assign → observe → predict → changes over arrays. It knows no clock, socket
or file: the same reports and times give the same changes on any machine, and a tracker restored from a checkpoint
goes on as if it had never stopped.
"""

import collections
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from gtfs_data.network import Network
from transit.model import ArrivalKey, Changes, Detour, PositionBatch, StopEvent, Update
from transit.outcomes import DetourState, Phase, Rejection
from transit.tracking.assign import Lines, choose, note_astray
from transit.tracking.changes import Publisher
from transit.tracking.clean import ACCEPTED, REASONS, far_away, refuse_after, refuse_alone
from transit.tracking.departures import LATE_BINS, STOOD_BINS, Departures
from transit.tracking.detour_book import Stretch
from transit.tracking.detour_wording import DetourWording
from transit.tracking.detours import Detours
from transit.tracking.duty import Duty
from transit.tracking.excursions import note_excursions
from transit.tracking.fit import Fit
from transit.tracking.fleet import Fleet, Sizes
from transit.tracking.geometry import Geometry
from transit.tracking.learned import LearnedTimes, TravelTimes, ready
from transit.tracking.lessons import EVERY_MS
from transit.tracking.match import Step, follow, merge_twins
from transit.tracking.observe import Zones, observe
from transit.tracking.parameters import Parameters
from transit.tracking.phases import say_idle
from transit.tracking.plan import Plan
from transit.tracking.predict import Predictor
from transit.tracking.predictions import Predictions
from transit.tracking.reroute import regular_s, reroute_of, watched_of
from transit.tracking.runs import RunBook
from transit.tracking.said import calibrate, remember, settle
from transit.tracking.sow import Sower
from transit.tracking.timetable_weight import learn_weights
from transit.tracking.travel_times import Links, Rates
from transit.tracking.wording import PHASES, Wording

Index = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SILENT = PHASES.index(Phase.SILENT)
UNASSIGNED = PHASES.index(Phase.UNASSIGNED)


class Tracker:
    """Follows all vehicles of one network."""

    def __init__(self, network: Network, parameters: Parameters | None = None, *, fleet: Fleet | None = None) -> None:
        self._network = network
        self._parameters = parameters or Parameters()
        self._geometry = Geometry(network)
        self._lines = Lines.of(network)
        self._zone = ZoneInfo(network.time_zone)
        self._links = Links(network, self._parameters)
        self._plan = Plan(network, self._parameters)
        self._learned: LearnedTimes | None = None
        self._stale_rates = False
        self._zones = Zones(self._geometry, self._parameters)
        self._fit = Fit(network, self._geometry, self._parameters)
        self._runs = RunBook(network, self._fit, self._parameters)
        self._sower = Sower(network, self._geometry, self._lines, self._fit, self._parameters)
        self._departures = Departures(network, self._plan, self._parameters)
        self._predictor = Predictor(self._geometry, self._links, self._plan, self._departures, self._parameters)
        self._wording = Wording(network, self._plan)
        self._publisher = Publisher(self._geometry, self._wording, self._parameters)
        self._duty = Duty(network, self._geometry, self._lines, self._runs, self._parameters)
        self._fleet = fleet or Fleet(_sizes(network, self._parameters))
        self._detours = Detours(network, self._geometry, self._parameters)
        self._detour_wording = DetourWording(network, self._geometry, self._detours, self._parameters)
        self._lead()

    @classmethod
    def restore(cls, network: Network, data: bytes, parameters: Parameters | None = None) -> "Tracker":
        """Return the tracker that wrote ``data`` with ``checkpoint``.

        Raises:
            ValueError: if ``data`` is broken or belongs to another network or other parameters.
        """
        parameters = parameters or Parameters()
        fleet = Fleet.load(data, _sizes(network, parameters))
        return cls(network, parameters, fleet=fleet)

    def checkpoint(self) -> bytes:
        """Return the whole state; a tracker restored from it answers as this one would."""
        return self._fleet.save()

    def advance(self, batch: PositionBatch, now_ms: int) -> Changes:
        """Take ``batch`` and the time; an empty batch lets time pass (silence, expiry)."""
        fleet = self._fleet
        now_ms = max(now_ms, fleet.now_ms)  # a clock that steps back must not revive what expired
        fleet.now_ms = now_ms
        self._runs.advance(now_ms)
        led_before = self._reroute.patterns()
        detours = self._take_in(now_ms)
        refused: collections.Counter[Rejection] = collections.Counter()
        events: list[StopEvent] = []
        touched: list[Index] = []
        for step, hints in self._rounds(batch, refused):
            touched.append(step.vehicle)
            events += self._step(step, hints, now_ms)
        accepted = sum(len(vehicles) for vehicles in touched)
        withdrawn, quiet, gone = self._expire(now_ms)
        touched += [quiet, self._to_be_renewed(now_ms), self._led_otherwise(led_before)]
        vehicle = np.unique(np.concatenate(touched))
        raw = self._predictor.predict(fleet, self._rates, self._reroute, vehicle, now_ms)
        predictions = settle(fleet, raw, now_ms, self._parameters)
        remember(fleet, vehicle, raw, predictions, now_ms)
        arrivals, passed = self._publisher.arrivals(fleet, vehicle, predictions, now_ms)
        update = Update(
            as_of_ms=now_ms,
            vehicles=self._wording.vehicles(fleet, vehicle, predictions),
            arrivals=arrivals,
            withdrawn=[*withdrawn, *passed],
            gone=gone,
            detours=detours,
        )
        count = len(fleet)
        phases = np.bincount(fleet.phase[:count][fleet.shown_on_map[:count] > 0], minlength=len(PHASES))
        return Changes(
            update=update,
            stop_events=events,
            accepted=accepted,
            rejected=dict(refused),
            phases={phase: int(phases[i]) for i, phase in enumerate(PHASES)},
            detours=collections.Counter(DetourState(one.state) for one in fleet.detours.shown.values()),
        )

    def published(self) -> Update:
        """Return everything currently published, to write a snapshot anew after a restart."""
        fleet = self._fleet
        vehicle = np.flatnonzero(fleet.shown_on_map[: len(fleet)] > 0).astype(np.int64)
        self._runs.advance(fleet.now_ms)
        raw = self._predictor.predict(fleet, self._rates, self._reroute, vehicle, fleet.now_ms)
        predictions = settle(fleet, raw, fleet.now_ms, self._parameters)
        return Update(
            as_of_ms=fleet.now_ms,
            vehicles=self._wording.vehicles(fleet, vehicle, predictions),
            arrivals=self._publisher.published(fleet, predictions),
            withdrawn=[],
            detours=list(fleet.detours.shown.values()),
        )

    def predictions(self, now_ms: int) -> Predictions:
        """Return what is expected now of every vehicle, whether published or not (for measuring)."""
        fleet = self._fleet
        raw = self._predictor.predict(fleet, self._rates, self._reroute, np.arange(len(fleet), dtype=np.int64), now_ms)
        return settle(fleet, raw, now_ms, self._parameters)

    def adopt(self, times: TravelTimes) -> None:
        """Let ``times`` be what past days taught; what was noted since the last training is in them."""
        self._learned = ready(times, self._links.number, self._links.link_planned_s, self._departures.number)
        self._departures.adopt(self._learned)
        self._fleet.links.forget_since()
        self._stale_rates = True

    def _take_in(self, now_ms: int) -> list[Detour]:
        """Learn what was noted and renew the rates, at most once in ``EVERY_MS`` of the city's time.

        Return what is new of detours.
        """
        memory = self._fleet.links
        if now_ms // EVERY_MS == int(memory.rates_ms[0]) // EVERY_MS and not self._stale_rates:
            return []
        self._links.learn(memory, self._fleet.passages.take())
        self._departures.learn(memory, self._fleet.departures.take())
        self._departures.watch(self._fleet, int(memory.rates_ms[0]), now_ms)
        outcomes = self._fleet.outcomes.take()
        calibrate(memory.shifts, memory.judged, outcomes)
        learn_weights(memory.followed, outcomes)
        learned_s = None if self._learned is None else self._learned.at(now_ms, self._zone)
        memory.rates[...] = self._links.rates(memory, learned_s, self._learned, now_ms)
        memory.rates_ms[0] = now_ms
        self._stale_rates = False
        book = self._fleet.detours
        changed = self._detours.learn(book, self._fleet.excursions.take(), self._regular_s, now_ms)
        self._lead()
        return self._detour_wording.news(book, self._fleet.vehicle_ids) if changed else []

    def _lead(self) -> None:
        """Let predictions, and what is watched, follow the detours that are known."""
        book, geometry, parameters = self._fleet.detours, self._geometry, self._parameters
        self._reroute = reroute_of(self._detours, book, geometry, self._links, self._rates, parameters)
        self._watched = watched_of(book, len(self._network.patterns), parameters)

    def _regular_s(self, pattern: int, stretch: Stretch) -> float:
        return regular_s(self._geometry, self._links, self._rates, self._parameters, pattern, stretch)

    def _led_otherwise(self, before: Index) -> Index:
        """Return the vehicles on lines whose detours began or ended: what is said of them changes at once."""
        patterns = np.setxor1d(before, self._reroute.patterns())
        count = len(self._fleet)
        if not len(patterns):
            return patterns
        on_run = (self._fleet.slot[:count] >= 0) & (self._fleet.shown_on_map[:count] > 0)
        return np.flatnonzero(on_run & np.isin(self._fleet.run_pattern[:count], patterns).any(axis=1)).astype(np.int64)

    @property
    def _rates(self) -> Rates:
        return Rates(*self._fleet.links.rates)

    @property
    def fleet(self) -> Fleet:
        """Return the tracker's memory, to read only."""
        return self._fleet

    def run_key(self, vehicle: int, leg: int) -> str:
        """Return what names the run of ``vehicle``."""
        return self._wording.run_key(self._fleet, vehicle, leg)

    def _rounds(
        self, batch: PositionBatch, refused: "collections.Counter[Rejection]"
    ) -> "collections.abc.Iterator[tuple[Step, PositionHints]]":
        """Yield the accepted reports in order of time, at most one per vehicle in a round."""
        if not len(batch):
            return
        verdict = refuse_alone(batch, self._parameters)
        good = np.flatnonzero(verdict == ACCEPTED)
        x, y = self._geometry.metres(batch.lat[good], batch.lon[good])
        far = far_away(x, y, self._geometry.bounds, self._parameters)
        verdict[good[far]] = REASONS.index(Rejection.FAR_AWAY)
        good, x, y = good[~far], x[~far], y[~far]
        for reason, count in zip(*np.unique(verdict[verdict != ACCEPTED], return_counts=True), strict=True):
            refused[REASONS[int(reason)]] += int(count)
        vehicle = self._fleet.rows_for([batch.vehicle_id[i] for i in good.tolist()])
        fix_ms = np.minimum(batch.fix_ms[good], batch.received_ms[good])
        order = np.lexsort((fix_ms, vehicle))
        turn = np.zeros(len(order), dtype=np.int64)
        same = vehicle[order][1:] == vehicle[order][:-1]
        starts = np.flatnonzero(np.append(True, ~same)) if len(order) else np.zeros(0, dtype=np.int64)
        turn = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
        for this in range(int(turn.max(initial=-1)) + 1):
            chosen = order[turn == this]
            wrong = refuse_after(self._fleet, vehicle[chosen], fix_ms[chosen], x[chosen], y[chosen], self._parameters)
            for reason, count in zip(*np.unique(wrong[wrong != ACCEPTED], return_counts=True), strict=True):
                refused[REASONS[int(reason)]] += int(count)
            chosen = chosen[wrong == ACCEPTED]
            if len(chosen):
                step = _step_of(self._fleet, vehicle[chosen], fix_ms[chosen], x[chosen], y[chosen], self._parameters)
                yield step, PositionHints(batch, good[chosen])

    def _step(self, step: Step, hints: "PositionHints", now_ms: int) -> list[StopEvent]:
        """Run match, assign and observe over one round."""
        fleet, parameters = self._fleet, self._parameters
        _note(fleet, step, hints, parameters)
        self._duty.take_hints(fleet, step, hints.trip_id, hints.block_id, hints.route_id, hints.direction_id)
        follow(fleet, self._geometry, step, parameters)
        note_astray(fleet, self._lines, step)
        self._sower.sow(fleet, step)
        merge_twins(fleet, step.vehicle)
        vehicle, slot = choose(fleet, self._geometry, self._lines, self._fit, step, parameters)
        self._duty.begin(fleet, vehicle, slot)
        on_run = step.vehicle[fleet.slot[step.vehicle] >= 0]
        at = np.flatnonzero(fleet.slot[step.vehicle] >= 0)
        slot = fleet.slot[on_run]
        new_m = fleet.guess_offset_m[on_run, slot]
        bad = fleet.guess_gap_m[on_run, slot] > parameters.candidate_m
        fleet.bad_fixes[on_run] = np.where(bad, fleet.bad_fixes[on_run] + 1, 0)
        fleet.offset_m[on_run] = new_m
        done = observe(
            *(fleet, self._geometry, self._zones, self._links, self._rates, self._plan, self._departures),
            *(on_run, new_m, step.fix_ms[at], parameters),
        )
        events = self._wording.stop_events(fleet, done)
        self._duty.progress(fleet, step, now_ms)
        say_idle(fleet, self._geometry, step, parameters)
        note_excursions(fleet, self._geometry, self._lines, step, self._watched, parameters)
        return events

    def _to_be_renewed(self, now_ms: int) -> Index:
        """Return vehicles of which nothing was said for a while, to let that age, and those whose run another took."""
        fleet, parameters = self._fleet, self._parameters
        count = len(fleet)
        on_run = fleet.slot[:count] >= 0
        old = on_run & (now_ms - fleet.saying_at_ms[:count] >= 1000 * parameters.renew_s)
        other = (fleet.run_pattern[:count] != fleet.shown_pattern[:count]) | ~on_run[:, None]
        taken = (other & (fleet.shown_last[:count] > 0)).any(axis=1)
        return np.flatnonzero((old | taken) & (fleet.shown_on_map[:count] > 0)).astype(np.int64)

    def _expire(self, now_ms: int) -> tuple[list[ArrivalKey], Index, list[str]]:
        """Return what silence withdraws, the vehicles newly silent, and those that leave the map."""
        fleet, parameters = self._fleet, self._parameters
        count = len(fleet)
        age_ms = now_ms - fleet.fix_ms[:count]
        shown = fleet.shown_on_map[:count] > 0
        quiet = np.flatnonzero(shown & (age_ms > parameters.stale_s * 1000) & (fleet.phase[:count] != SILENT))
        fleet.phase[quiet] = SILENT
        left = np.flatnonzero(shown & (age_ms > parameters.gone_s * 1000))
        withdrawn = self._publisher.withdraw(fleet, left)
        fleet.shown_on_map[left] = 0
        fleet.slot[left] = -1
        fleet.guess_pattern[left] = -1
        gone = [fleet.vehicle_ids[row] for row in left.tolist()]
        return withdrawn, np.setdiff1d(quiet, left).astype(np.int64), gone


class PositionHints:
    """What the accepted reports of one round say besides place and time."""

    def __init__(self, batch: PositionBatch, index: Index) -> None:
        rows = index.tolist()
        self.trip_id: Sequence[str] = [batch.trip_id[i] for i in rows]
        self.block_id: Sequence[str] = [batch.block_id[i] for i in rows]
        self.route_id: Sequence[str] = [batch.route_id[i] for i in rows]
        self.direction_id = batch.direction_id[index].astype(np.int64)
        self.speed_mps = batch.speed_mps[index]
        self.heading_deg = batch.heading_deg[index]
        self.lat = batch.lat[index]
        self.lon = batch.lon[index]


def _step_of(fleet: Fleet, vehicle: Index, fix_ms: Index, x: Floats, y: Floats, parameters: Parameters) -> Step:
    known = fleet.fix_ms[vehicle] > 0
    east, north = x - fleet.x[vehicle], y - fleet.y[vehicle]
    moved_m = np.where(known, np.hypot(east, north), 0.0)
    visible = moved_m >= parameters.course_move_m
    length = np.where(visible, moved_m, 1.0)
    return Step(
        vehicle=vehicle,
        fix_ms=fix_ms,
        x=x,
        y=y,
        gap_s=np.where(known, (fix_ms - fleet.fix_ms[vehicle]) / 1000, 0.0),
        moved_m=moved_m,
        course_x=np.where(visible, east / length, np.nan),
        course_y=np.where(visible, north / length, np.nan),
    )


def _note(fleet: Fleet, step: Step, hints: PositionHints, parameters: Parameters) -> None:
    """Write down what the vehicle said."""
    vehicle = step.vehicle
    fresh = (step.gap_s == 0) | ((step.gap_s > parameters.window_max_s) & (step.moved_m > parameters.terminal_m))
    fleet.seen_ms[vehicle] = np.where(fresh, step.fix_ms, fleet.seen_ms[vehicle])
    fleet.seen_m[vehicle] = np.where(fresh, 0.0, fleet.seen_m[vehicle] + step.moved_m)
    away_m = np.hypot(step.x - fleet.moved_x[vehicle], step.y - fleet.moved_y[vehicle])
    moved = (away_m >= parameters.delayed_move_m) | (fleet.moved_ms[vehicle] == 0)
    fleet.moved_x[vehicle] = np.where(moved, step.x, fleet.moved_x[vehicle])
    fleet.moved_y[vehicle] = np.where(moved, step.y, fleet.moved_y[vehicle])
    fleet.moved_ms[vehicle] = np.where(moved, step.fix_ms, fleet.moved_ms[vehicle])
    fleet.fix_ms[vehicle] = step.fix_ms
    fleet.x[vehicle], fleet.y[vehicle] = step.x, step.y
    fleet.lat[vehicle], fleet.lon[vehicle] = hints.lat, hints.lon
    fleet.speed_mps[vehicle] = hints.speed_mps
    course_deg = np.degrees(np.arctan2(step.course_x, step.course_y)) % 360.0
    told = np.isfinite(hints.heading_deg)
    heading = np.where(told, hints.heading_deg, course_deg)
    fleet.heading_deg[vehicle] = np.where(np.isfinite(heading), heading, fleet.heading_deg[vehicle])
    fleet.shown_on_map[vehicle] = 1


def _sizes(network: Network, parameters: Parameters) -> Sizes:
    links = Links(network, parameters)
    return Sizes(
        slots=parameters.slots,
        stops=int(np.diff(network.patterns.first).max(initial=1)),
        links=links.count,
        routes=links.routes,
        rows=len(links.of_row),
        starts=Departures(network, Plan(network, parameters), parameters).count,
        late_bins=LATE_BINS,
        stood_bins=STOOD_BINS,
    )
