"""The tracker: a batch of position reports and the time in, what changed out.

``advance`` runs clean → match → assign → observe → predict → changes over arrays. It knows no clock, socket
or file: the same reports and times give the same changes on any machine, and a tracker restored from a checkpoint
goes on as if it had never stopped.
"""

import collections
from dataclasses import dataclass, field
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
from transit.tracking.duty import Duty, Words
from transit.tracking.excursions import note_excursions
from transit.tracking.fit import Fit
from transit.tracking.fleet import Fleet, Sizes
from transit.tracking.geometry import Geometry
from transit.tracking.learned import LearnedTimes, TravelTimes, ready
from transit.tracking.match import Step, follow, merge_twins
from transit.tracking.observe import Zones, observe
from transit.tracking.parameters import Parameters
from transit.tracking.phases import say_idle
from transit.tracking.plan import Plan
from transit.tracking.predict import Predictor
from transit.tracking.predictions import Predictions
from transit.tracking.reroute import regular_s, reroute_of, watched_of
from transit.tracking.rounds import MOMENT_MS, SAID_EVERY_MS, contended, in_order, moments, rounds, spans
from transit.tracking.runs import RunBook
from transit.tracking.said import calibrate, remember, settle
from transit.tracking.sow import Sower
from transit.tracking.timetable_weight import learn_weights
from transit.tracking.travel_times import Links, Rates
from transit.tracking.wording import PHASES, SILENT, Wording

Index = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

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
        self._stale_rates = fleet is None
        self._zones = Zones(self._geometry, self._parameters)
        self._fit = Fit(network, self._geometry, self._parameters)
        self._runs = RunBook(network, self._fit, self._parameters)
        self._sower = Sower(network, self._geometry, self._lines, self._fit, self._parameters)
        self._departures = Departures(network, self._plan, self._parameters)
        self._predictor = Predictor(self._geometry, self._links, self._plan, self._departures, self._parameters)
        self._wording = Wording(network, self._plan)
        self._publisher = Publisher(self._geometry, self._wording, self._parameters)
        self._fleet = fleet or Fleet(_sizes(network, self._parameters))
        self._duty = Duty(self._fleet, network, self._geometry, self._lines, self._runs, self._parameters)
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
        fleet, done = self._fleet, _Done()
        now_ms = max(now_ms, fleet.now_ms)  # a clock that steps back must not revive what expired
        reports = self._reports(batch, now_ms, done)
        self._set_out(int(reports.came_ms[0]) if len(reports.came_ms) else now_ms, done)
        if now_ms > fleet.now_ms:  # all that came until then has been taken
            self._let_pass(fleet.now_ms, done)
        for span in spans(reports.came_ms):
            self._let_pass(int(reports.came_ms[span][0]), done)
            for this in rounds(reports.vehicle[span], self._contended(reports, span)):
                self._take(reports, np.arange(span.start + this.start, span.start + this.stop), done)
        if not len(batch):
            self._let_pass(now_ms, done)
        fleet.now_ms = now_ms
        self._take_from_map(now_ms, done)
        vehicle = np.unique(np.concatenate([*done.touched, self._aged(now_ms), self._without_run()]))
        predictions = settle(fleet, self._predict(vehicle, now_ms), now_ms, self._parameters)
        arrivals, passed = self._publisher.arrivals(fleet, vehicle, predictions, now_ms)
        fleet.shown_at_ms[vehicle] = now_ms
        update = Update(
            as_of_ms=now_ms,
            vehicles=self._wording.vehicles(fleet, vehicle, predictions),
            arrivals=arrivals,
            withdrawn=[*done.withdrawn, *passed],
            gone=done.gone,
            detours=done.detours,
        )
        count = len(fleet)
        phase = np.where(fleet.silent[:count] > 0, SILENT, fleet.phase[:count])
        phases = np.bincount(phase[fleet.shown_on_map[:count] > 0], minlength=len(PHASES))
        return Changes(
            update=update,
            stop_events=done.events,
            accepted=done.accepted,
            rejected=dict(done.refused),
            phases={phase: int(phases[i]) for i, phase in enumerate(PHASES)},
            detours=collections.Counter(DetourState(one.state) for one in fleet.detours.shown.values()),
        )

    def published(self) -> Update:
        """Return everything currently published, to write a snapshot anew after a restart."""
        fleet = self._fleet
        vehicle = np.flatnonzero(fleet.shown_on_map[: len(fleet)] > 0).astype(np.int64)
        self._runs.advance(fleet.moment_ms)
        predictions = settle(fleet, self._predict(vehicle, fleet.now_ms), fleet.now_ms, self._parameters)
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
        everything = np.arange(len(fleet), dtype=np.int64)
        return settle(fleet, self._predict(everything, now_ms), now_ms, self._parameters)

    def _predict(self, vehicle: Index, now_ms: int) -> Predictions:
        return self._predictor.predict(self._fleet, self._rates, self._reroute, vehicle, now_ms)

    def adopt(self, times: TravelTimes) -> None:
        """Let ``times`` be what past days taught; what was noted since the last training is in them."""
        self._learned = ready(times, self._links.number, self._links.link_planned_s, self._departures.number)
        self._departures.adopt(self._learned)
        self._fleet.links.forget_since()
        self._stale_rates = True

    def _set_out(self, now_ms: int, done: "_Done") -> None:
        """Begin the count of moments with the first that is heard; know the days around."""
        if not self._fleet.moment_ms:
            self._fleet.moment_ms = (now_ms - 1) // MOMENT_MS * MOMENT_MS
        self._runs.advance(self._fleet.moment_ms)
        if self._stale_rates:
            done.detours += self._take_in(self._fleet.moment_ms)

    def _let_pass(self, until_ms: int, done: "_Done") -> None:
        """Settle what is settled at the fixed moments before ``until_ms`` that are not over yet.

        Nothing else depends on the time that passes, and these do not on when they are computed.
        """
        fleet = self._fleet
        for moment_ms in moments(fleet.moment_ms, until_ms):
            fleet.moment_ms = moment_ms
            if moment_ms % SAID_EVERY_MS == 0:  # before anything is learned: what who asked just now was told
                self._say(moment_ms)
            self._runs.advance(moment_ms)
            led_before = self._reroute.patterns()
            done.detours += self._take_in(moment_ms)
            self._duty.let_go(fleet, self._unheard(moment_ms, self._parameters.window_max_s))
            self._duty.note_claims(fleet)
            done.touched.append(self._led_otherwise(led_before))

    def _say(self, now_ms: int) -> None:
        """Keep what is said now: what is said later is held to it."""
        fleet, vehicle = self._fleet, self._to_be_said(now_ms)
        raw = self._predict(vehicle, now_ms)
        remember(fleet, vehicle, raw, settle(fleet, raw, now_ms, self._parameters), now_ms)
        fleet.unsaid[: len(fleet)] = 0

    def _take_in(self, now_ms: int) -> list[Detour]:
        """Learn what was noted, and renew the rates; return what is new of detours."""
        memory = self._fleet.links
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

    def _reports(self, batch: PositionBatch, now_ms: int, done: "_Done") -> "_Reports":
        """Return the reports that may be true, in the order in which they are taken."""
        verdict = refuse_alone(batch, self._parameters)
        good = np.flatnonzero(verdict == ACCEPTED)
        x, y = self._geometry.metres(batch.lat[good], batch.lon[good])
        far = far_away(x, y, self._geometry.bounds, self._parameters)
        verdict[good[far]] = REASONS.index(Rejection.FAR_AWAY)
        done.refuse(verdict)
        good, x, y = good[~far], x[~far], y[~far]
        order = in_order(batch.received_ms[good], batch.fix_ms[good])
        good, x, y = good[order], x[order], y[order]
        vehicle = self._fleet.rows_for(list(map(batch.vehicle_id.__getitem__, good.tolist())))
        received_ms = batch.received_ms[good]
        return _Reports(
            batch=batch,
            index=good,
            vehicle=vehicle,
            words=self._duty.words_of(batch, good),
            came_ms=np.minimum(received_ms, now_ms),
            fix_ms=np.minimum(batch.fix_ms[good], received_ms),
            x=x,
            y=y,
        )

    def _contended(self, reports: "_Reports", span: slice) -> Index:
        claims, vehicle = self._duty.claims, reports.vehicle[span]
        word = claims.words(reports.words.trip[span], reports.words.block[span])
        return contended(vehicle, word, claims.disputed(vehicle, word), claims.called)

    def _take(self, reports: "_Reports", index: Index, done: "_Done") -> None:
        """Take one round of reports: those that are no news, or impossible after what was heard before, are refused."""
        fleet, parameters = self._fleet, self._parameters
        vehicle, fix_ms, x, y = reports.vehicle[index], reports.fix_ms[index], reports.x[index], reports.y[index]
        verdict = refuse_after(fleet, vehicle, fix_ms, x, y, parameters)
        done.refuse(verdict)
        good = np.flatnonzero(verdict == ACCEPTED)
        if not len(good):
            return
        step = _step_of(fleet, vehicle[good], fix_ms[good], x[good], y[good], parameters)
        done.events += self._step(
            step, PositionHints(reports.batch, reports.index[index[good]], reports.words.of(index[good]))
        )
        done.touched.append(step.vehicle)
        done.accepted += len(good)

    def _step(self, step: Step, hints: "PositionHints") -> list[StopEvent]:
        """Run match, assign and observe over one round."""
        fleet, parameters = self._fleet, self._parameters
        _note(fleet, step, hints, parameters)
        self._duty.take_hints(fleet, step, hints.words)
        follow(fleet, self._geometry, step, parameters)
        note_astray(fleet, self._lines, step)
        self._sower.sow(fleet, step)
        merge_twins(fleet, step.vehicle)
        at, slot = choose(fleet, self._geometry, self._lines, self._fit, step, parameters)
        begins = np.full(len(step.vehicle), -1, dtype=np.int64)
        begins[at] = slot
        goes_on = np.flatnonzero((begins < 0) & (fleet.slot[step.vehicle] >= 0))
        events = self._observe(step, goes_on)
        self._duty.take_turns(fleet, step.vehicle, begins, self._duty.look(fleet, step, goes_on))
        begun = np.flatnonzero((begins >= 0) & (fleet.slot[step.vehicle] >= 0))
        events += self._observe(step, begun)
        self._duty.look(fleet, step, begun)
        say_idle(fleet, self._geometry, step, parameters)
        note_excursions(fleet, self._geometry, self._lines, step, self._watched, parameters)
        return events

    def _observe(self, step: Step, at: Index) -> list[StopEvent]:
        """Move the vehicles number ``at`` of ``step``, all on a run, along it; return the passages seen."""
        fleet, parameters, vehicle = self._fleet, self._parameters, step.vehicle[at]
        if not len(vehicle):
            return []
        slot = fleet.slot[vehicle]
        new_m = fleet.guess_offset_m[vehicle, slot]
        bad = fleet.guess_gap_m[vehicle, slot] > parameters.candidate_m
        fleet.bad_fixes[vehicle] = np.where(bad, fleet.bad_fixes[vehicle] + 1, 0)
        fleet.offset_m[vehicle] = new_m
        seen = observe(
            *(fleet, self._geometry, self._zones, self._links, self._rates, self._plan, self._departures),
            *(vehicle, new_m, step.fix_ms[at], parameters),
        )
        return self._wording.stop_events(fleet, seen)

    def _to_be_said(self, now_ms: int) -> Index:
        """Return the vehicles heard since the last moment, and those of which nothing was said for a while."""
        fleet = self._fleet
        count = len(fleet)
        old = now_ms - fleet.saying_at_ms[:count] >= 1000 * self._parameters.renew_s
        return np.flatnonzero((fleet.unsaid[:count] > 0) | (old & (fleet.slot[:count] >= 0))).astype(np.int64)

    def _without_run(self) -> Index:
        """Return the vehicles whose run another took."""
        fleet, count = self._fleet, len(self._fleet)
        other = (fleet.run_pattern[:count] != fleet.shown_pattern[:count]) | (fleet.slot[:count] < 0)[:, None]
        taken = np.unique(np.nonzero(other & (fleet.shown_last[:count] > 0))[0])
        return taken[fleet.shown_on_map[taken] > 0]

    def _aged(self, now_ms: int) -> Index:
        """Return the vehicles of which something else is to be shown because they are not heard: silent, or later."""
        fleet, count, parameters = self._fleet, len(self._fleet), self._parameters
        shown = fleet.shown_on_map[:count] > 0
        quiet = shown & (fleet.silent[:count] == 0) & (now_ms - fleet.fix_ms[:count] > 1000 * parameters.stale_s)
        fleet.silent[np.flatnonzero(quiet)] = 1
        old = shown & (fleet.slot[:count] >= 0) & (now_ms - fleet.shown_at_ms[:count] >= 1000 * parameters.renew_s)
        return np.flatnonzero(quiet | old).astype(np.int64)

    def _take_from_map(self, now_ms: int, done: "_Done") -> None:
        """Withdraw all that is published of vehicles that are not heard of any more."""
        fleet, left = self._fleet, self._unheard(now_ms, self._parameters.gone_s)
        left = left[fleet.shown_on_map[left] > 0]
        done.withdrawn += self._publisher.withdraw(fleet, left)
        fleet.shown_on_map[left] = 0
        done.gone += [fleet.vehicle_ids[row] for row in left.tolist()]

    def _unheard(self, now_ms: int, for_s: float) -> Index:
        """Return the vehicles not heard of for so long."""
        last_ms = self._fleet.fix_ms[: len(self._fleet)]
        return np.flatnonzero(now_ms - last_ms > 1000 * for_s).astype(np.int64)


@dataclass(slots=True, eq=False)
class _Done:
    """What came of one call."""

    touched: list[Index] = field(default_factory=list)
    events: list[StopEvent] = field(default_factory=list)
    withdrawn: list[ArrivalKey] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    detours: list[Detour] = field(default_factory=list)
    refused: "collections.Counter[Rejection]" = field(default_factory=collections.Counter)
    accepted: int = 0

    def refuse(self, verdict: Index) -> None:
        """Count what is wrong with reports."""
        for reason, count in zip(*np.unique(verdict[verdict != ACCEPTED], return_counts=True), strict=True):
            self.refused[REASONS[int(reason)]] += int(count)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Reports:
    """Reports that may be true, in the order in which they are taken; ``index`` says where they are in ``batch``."""

    batch: PositionBatch
    index: Index
    vehicle: Index
    words: Words
    came_ms: Index
    fix_ms: Index
    x: Floats
    y: Floats


class PositionHints:
    """What the accepted reports of one round say besides place and time."""

    def __init__(self, batch: PositionBatch, index: Index, words: Words) -> None:
        self.words = words
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
    fleet.phase[vehicle[step.gap_s > parameters.stale_s]] = SILENT  # it was, whether anybody looked or not
    fleet.silent[vehicle], fleet.unsaid[vehicle] = 0, 1
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
