"""Vehicles that leave the line at one place are one detour: compare what ``excursions`` noted, and say how sure it is.

Excursions agree when they leave the same street in the same direction at one place and, as far as that is known, come
back to it at one place; also those of other patterns and routes that share it. Two vehicles make a detour, one makes
none. It is confirmed when two have driven it from end to end, in doubt when one passes the regular way, over when a
second does. What was noted is taken in by order of time, so it does not matter how reports are cut into batches.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import shapely

from gtfs_data.network import Network
from transit.outcomes import DetourState
from transit.tracking.detour_book import BACK, LEFT, LOST, PASSED, PLACE, Book, Excursion, Known, Stretch
from transit.tracking.geometry import Geometry
from transit.tracking.parameters import Parameters

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
RegularTime = Callable[[int, Stretch], float]  # seconds that a stretch of a pattern takes on the line now

PATH_MAX = 240  # places kept of one excursion: half an hour of a fix each 8 s
DRIVES_KEPT = 5  # whose times count: traffic on a detour changes
VEHICLES_KEPT = 40
SAME_WAY = 0.5  # cosine: the same direction on the same street
LENGTH_SHARE = 0.2  # stretches of two lines over one street are as long as each other, but for how they were drawn


class Detours:
    """Finds detours on the lines of one network; what it knows is in ``Book``."""

    def __init__(self, network: Network, geometry: Geometry, parameters: Parameters) -> None:
        self._geometry, self._parameters = geometry, parameters
        self._stop_of_row = network.patterns.stop.astype(np.int64)
        self._stop_points = np.asarray(shapely.points(network.stops.xy), dtype=np.object_)
        line = list(zip(network.patterns.route.tolist(), network.patterns.direction.tolist(), strict=True))
        self._patterns_of = {one: [p for p, other in enumerate(line) if other == one] for one in dict.fromkeys(line)}
        self.line_of = line

    def learn(self, book: Book, noted: dict[str, Floats], regular_s: RegularTime, now_ms: int) -> bool:
        """Take in what was ``noted`` (``lessons.EXCURSION``), and let what was not renewed end.

        Return whether anything may be different now.
        """
        changed = False
        for when, who, kind, pattern, left, x, y in zip(*(noted[name].tolist() for name in noted), strict=True):
            when_ms, vehicle = int(when), int(who)
            if kind == PLACE:
                self._stray(book, vehicle, Excursion(int(pattern), int(left), Stretch(0.0), path=[(x, y)]))
                continue
            self._expire(book, when_ms)
            changed = True
            if kind == LEFT:
                self._leave(book, vehicle, when_ms, int(pattern), int(left), x)
            elif kind == BACK:
                self._return(book, vehicle, when_ms, int(left), x, int(y), regular_s)
            elif kind == LOST:
                book.astray.pop(vehicle, None)
                self._withdraw(book, vehicle)
            elif kind == PASSED:
                self._pass(book, int(x))
        return self._expire(book, now_ms) or changed

    def state(self, known: Known) -> DetourState | None:
        """Return how sure ``known`` is; None while it is the excursion of one vehicle."""
        if len(known.vehicles) < self._parameters.detour_vehicles:
            return None
        driven = len(known.drivers) >= self._parameters.detour_vehicles and not known.resting
        return DetourState.CONFIRMED if driven else DetourState.SUSPECTED

    def missed(self, known: Known, pattern: int) -> list[int]:
        """Return the rows of ``pattern`` whose stops the detour leaves out."""
        stretch, first, offset_m = known.stretches[pattern], self._geometry.first, self._geometry.offset_m
        if not stretch.whole:
            return []
        rows = np.arange(first[pattern], first[pattern + 1])
        zone_m = self._parameters.stop_zone_m
        out = (offset_m[rows] > stretch.left_m + zone_m) & (offset_m[rows] < stretch.back_m - zone_m)
        return [int(row) for row in rows[out & ~np.isin(self._stop_of_row[rows], known.served)]]

    def _stray(self, book: Book, vehicle: int, place: Excursion) -> None:
        """Note a place of a vehicle beside its line."""
        known = book.astray.get(vehicle)
        if known is None or known.left_ms != place.left_ms:
            book.astray[vehicle] = place
        elif len(known.path) < PATH_MAX:
            known.path += place.path

    def _leave(self, book: Book, vehicle: int, when_ms: int, pattern: int, left_ms: int, left_m: float) -> None:
        astray = book.astray.get(vehicle)
        excursion = Excursion(pattern, left_ms, Stretch(left_m))
        if astray is not None and astray.left_ms == left_ms:
            (x,), (y,) = self._geometry.place(np.array([pattern]), np.array([left_m]))
            excursion.reach_m = float(np.hypot(astray.path[0][0] - x, astray.path[0][1] - y))
        known = self._agreeing(book, excursion) or self._new(book, excursion)
        known.under_way[vehicle] = excursion
        self._join(known, vehicle, when_ms)
        if excursion.pattern not in known.own:
            known.own[excursion.pattern] = excursion.stretch
            self._spread_out(known)

    def _return(
        self,
        book: Book,
        vehicle: int,
        when_ms: int,
        left_ms: int,
        back_m: float,
        back_ms: int,
        regular_s: RegularTime,
    ) -> None:
        astray = book.astray.pop(vehicle, None)
        path = astray.path if astray is not None and astray.left_ms == left_ms else []
        known = next((one for one in book.known.values() if vehicle in one.under_way), None)
        if known is None or known.under_way[vehicle].left_ms != left_ms:
            return
        begun = known.under_way.pop(vehicle)
        excursion = Excursion(
            begun.pattern, left_ms, Stretch(begun.stretch.left_m, back_m), back_ms, path, begun.reach_m
        )
        out_m = back_m - begun.stretch.left_m
        short, alone = out_m < self._parameters.detour_min_m, known.vehicles == [vehicle]
        if short or alone or not self._agrees(known, excursion):  # where it came back says more than where it left
            self._take_away(book, known, vehicle)
            if short:
                return
            known = self._agreeing(book, excursion) or self._new(book, excursion)
        self._join(known, vehicle, when_ms)
        self._drive(known, vehicle, excursion, regular_s)

    def _drive(self, known: Known, vehicle: int, excursion: Excursion, regular_s: RegularTime) -> None:
        """Let an excursion that is over say where the detour leads and how long it takes.

        The last place on the line is before the corner and the first one behind it: of several, the nearest count.
        """
        own, seen = known.own.get(excursion.pattern), excursion.stretch
        if own is not None and own.whole:
            nearest = Stretch(max(own.left_m, seen.left_m), min(own.back_m, seen.back_m))
            seen = nearest if nearest.back_m - nearest.left_m >= self._parameters.detour_min_m else own
        known.own[excursion.pattern] = seen
        took_s = (excursion.back_ms - excursion.left_ms) / 1000
        known.extra_s = [*known.extra_s, took_s - regular_s(excursion.pattern, excursion.stretch)][-DRIVES_KEPT:]
        if vehicle not in known.drivers:
            known.drivers = [*known.drivers, vehicle][-VEHICLES_KEPT:]
        known.passes, known.resting = 0, False
        ends = self._geometry.place(
            np.full(2, excursion.pattern), np.array([excursion.stretch.left_m, excursion.stretch.back_m])
        )
        (begin_x, end_x), (begin_y, end_y) = ends[0].tolist(), ends[1].tolist()
        known.path = [(begin_x, begin_y), *excursion.path, (end_x, end_y)]
        self._spread_out(known)
        self._see_served(known)

    def _see_served(self, known: Known) -> None:
        """Note the stops between that were passed so closely that they were served."""
        way, near = shapely.LineString(known.path), set(known.served)
        first = self._geometry.first
        for pattern in known.stretches:
            stops = self._stop_of_row[first[pattern] : first[pattern + 1]]
            close = shapely.dwithin(self._stop_points[stops], way, self._parameters.stop_near_m)
            near.update(stops[close].tolist())
        known.served = sorted(near)

    def _pass(self, book: Book, number: int) -> None:
        """A vehicle drove the regular way."""
        known = book.known.get(number)
        if known is None:
            return
        known.passes, known.drivers = known.passes + 1, []
        if known.passes >= self._parameters.detour_passes:
            del book.known[number]

    def _withdraw(self, book: Book, vehicle: int) -> None:
        """A vehicle that left did not come back: it had its own reason."""
        for known in list(book.known.values()):
            if known.under_way.pop(vehicle, None) is not None:
                self._take_away(book, known, vehicle)

    def _take_away(self, book: Book, known: Known, vehicle: int) -> None:
        if vehicle in known.drivers:
            return
        known.vehicles = [one for one in known.vehicles if one != vehicle]
        if not known.vehicles:
            del book.known[known.number]

    def _new(self, book: Book, excursion: Excursion) -> Known:
        book.numbers += 1
        known = Known(book.numbers, excursion.left_ms, excursion.left_ms)
        book.known[known.number] = known
        return known

    def _join(self, known: Known, vehicle: int, when_ms: int) -> None:
        known.last_ms = when_ms
        known.vehicles = [*(one for one in known.vehicles if one != vehicle), vehicle][-VEHICLES_KEPT:]

    def _expire(self, book: Book, now_ms: int) -> bool:
        """End what was not renewed for too long, what is well known rests first; return whether anything did."""
        parameters, changed = self._parameters, False
        for known in list(book.known.values()):
            for vehicle, excursion in list(known.under_way.items()):
                if now_ms - excursion.left_ms > 1000 * (parameters.excursion_max_s + parameters.window_max_s):
                    del known.under_way[vehicle]
                    self._take_away(book, known, vehicle)
                    changed = True
            quiet_s = (now_ms - known.last_ms) / 1000
            if len(known.vehicles) >= parameters.detour_vehicles and known.whole:
                rests = quiet_s > parameters.detour_rest_s
                changed |= rests != known.resting
                known.resting = rests
                kept_s = parameters.detour_forget_s
            elif known.whole:
                kept_s = parameters.detour_whole_s
            else:
                kept_s = parameters.detour_within_s
            if quiet_s > kept_s:
                book.known.pop(known.number, None)
                changed = True
        old_ms = now_ms - 1000 * (parameters.excursion_max_s + parameters.window_max_s)
        for vehicle in [vehicle for vehicle, excursion in book.astray.items() if excursion.left_ms < old_ms]:
            del book.astray[vehicle]
        return changed

    def _agreeing(self, book: Book, excursion: Excursion) -> Known | None:
        """Return the detour that ``excursion`` belongs to, the one with most vehicles."""
        fits = [known for known in book.known.values() if self._agrees(known, excursion)]
        return max(fits, key=lambda known: (len(known.vehicles), -known.number), default=None)

    def _agrees(self, known: Known, excursion: Excursion) -> bool:
        stretch = known.stretches.get(excursion.pattern)
        if stretch is not None:
            return self._alike(stretch, excursion)
        for pattern, own in known.own.items():
            here = self._geometry.place(
                np.array([pattern, excursion.pattern]), np.array([own.left_m, excursion.stretch.left_m])
            )
            if np.hypot(np.diff(here[0]), np.diff(here[1]))[0] <= self._parameters.detour_reach_max_m:
                shared = self._on(pattern, own, excursion.pattern)
                if shared is not None and self._alike(shared, excursion):
                    return True
        return False

    def _alike(self, stretch: Stretch, excursion: Excursion) -> bool:
        """Return whether an excursion leaves out what ``stretch`` of the same pattern does, as far as that is known."""
        parameters, other = self._parameters, excursion.stretch
        if stretch.whole and other.whole:
            both_m = min(stretch.back_m, other.back_m) - max(stretch.left_m, other.left_m)
            shorter_m = min(stretch.back_m - stretch.left_m, other.back_m - other.left_m)
            return both_m >= parameters.detour_overlap * shorter_m
        reach_m = min(max(parameters.detour_apart_m, excursion.reach_m), parameters.detour_reach_max_m)
        return abs(stretch.left_m - other.left_m) <= reach_m

    def _spread_out(self, known: Known) -> None:
        """Find the stretch on all patterns of the lines that drive the detour; on each, the nearest ends count."""
        known.stretches = {}
        for line in dict.fromkeys(self.line_of[pattern] for pattern in known.own):
            for pattern in self._patterns_of[line]:
                seen = [self._on(source, own, pattern) for source, own in known.own.items()]
                found = [stretch for stretch in seen if stretch is not None]
                if found:
                    left_m = max(stretch.left_m for stretch in found)
                    back_m = min((stretch.back_m for stretch in found if stretch.whole), default=-1.0)
                    known.stretches[pattern] = found[0] if 0 <= back_m <= left_m else Stretch(left_m, back_m)

    def _on(self, source: int, stretch: Stretch, pattern: int) -> Stretch | None:
        """Return where ``stretch`` of pattern ``source`` lies on the line of ``pattern``; None if it does not."""
        if source == pattern:
            return stretch
        geometry = self._geometry
        ends_m = np.array([stretch.left_m, stretch.back_m] if stretch.whole else [stretch.left_m])
        sources = np.full(len(ends_m), source)
        point = np.arange(len(ends_m))
        near = geometry.near_on(
            geometry.place(sources, ends_m), point, np.full(len(ends_m), pattern), self._parameters.candidate_m
        )
        heading = geometry.tangent(geometry.base[sources] + ends_m)
        same_way = geometry.along(near.pattern, near.offset_m, (heading[0][near.point], heading[1][near.point]))
        kept = same_way > SAME_WAY
        lefts = near.offset_m[kept & (near.point == 0)].tolist()
        if not stretch.whole:
            return Stretch(min(lefts)) if lefts else None
        length_m = stretch.back_m - stretch.left_m
        backs = near.offset_m[kept & (near.point == 1)].tolist()
        pairs = [(abs(back_m - left_m - length_m), left_m, back_m) for left_m in lefts for back_m in backs]
        best = min(pairs, default=None)
        if best is None or best[0] > max(LENGTH_SHARE * length_m, self._parameters.candidate_m):
            return None
        return Stretch(best[1], best[2])
