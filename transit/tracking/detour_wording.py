"""Detours as they are told to boards and dispatchers: names for numbers, and only what is new."""

import itertools
from collections.abc import Sequence

import msgspec
import numpy as np

from gtfs_data.network import Network
from transit.model import Detour, DetouredLine
from transit.outcomes import DetourState
from transit.tracking.detour_book import Book, Known
from transit.tracking.detours import Detours
from transit.tracking.geometry import Geometry
from transit.tracking.parameters import Parameters
from transit.tracking.reroute import typical_extra_s

PLACE_DIGITS = 6  # of degrees: a tenth of a metre


class DetourWording:
    """Says what is known of detours on one network."""

    def __init__(self, network: Network, geometry: Geometry, detours: Detours, parameters: Parameters) -> None:
        self._network, self._geometry = network, geometry
        self._detours, self._parameters = detours, parameters

    def news(self, book: Book, vehicle_ids: Sequence[str]) -> list[Detour]:
        """Return what is new or different since the last call, and what is over."""
        now = {one.detour_id: one for one in self._all(book, vehicle_ids)}
        over = [
            msgspec.structs.replace(shown, state=DetourState.OVER, under_way=[])
            for detour_id, shown in book.shown.items()
            if detour_id not in now
        ]
        news = [one for detour_id, one in now.items() if book.shown.get(detour_id) != one]
        book.shown = now
        return over + news

    def _all(self, book: Book, vehicle_ids: Sequence[str]) -> list[Detour]:
        told = ((known, self._detours.state(known)) for known in book.known.values())
        said = [(known, self._said(known, state, vehicle_ids)) for known, state in told if state is not None]
        return [one for known, one in said if one.missed or self._drawn(known)]

    def _drawn(self, known: Known) -> bool:
        """Return whether the feed draws a line that was left: otherwise lines are straight, streets are not."""
        return any(self._network.patterns.shape_ids[pattern] for pattern in known.stretches)

    def _said(self, known: Known, state: DetourState, vehicle_ids: Sequence[str]) -> Detour:
        geometry, stops = self._geometry, self._network.stops.ids
        lines = self._lines(known)
        pattern = next(iter(known.stretches))
        stretch = known.stretches[pattern]
        before = int(geometry.row_at(np.array([pattern]), np.array([stretch.left_m]))[0])
        after = ""
        if stretch.whole:
            behind = int(geometry.row_at(np.array([pattern]), np.array([stretch.back_m]))[0]) + 1
            after = self._stop(min(behind, int(geometry.first[pattern + 1]) - 1))
        missed = dict.fromkeys(
            self._stop(int(geometry.first[pattern]) + place)
            for line in lines
            for pattern, places in zip(line.patterns, line.missed, strict=True)
            for place in places
        )
        x, y = np.array(known.path).reshape(-1, 2).T
        lat, lon = geometry.degrees(x, y) if len(x) else (x, y)
        places = np.round(np.column_stack((lat, lon)), PLACE_DIGITS).tolist()
        return Detour(
            detour_id=f"{known.first_ms // 1000}-{known.number}",
            state=state,
            since_ms=known.first_ms,
            last_ms=known.last_ms,
            lines=lines,
            vehicles=[vehicle_ids[row] for row in known.vehicles],
            under_way=[vehicle_ids[row] for row in known.under_way],
            missed=list(missed),
            before_stop_id=str(stops[self._network.patterns.stop[before]]),
            after_stop_id=after,
            extra_s=round(typical_extra_s(known)) if known.extra_s else None,
            path=[(here[0], here[1]) for here in places],
            standing=known.last_ms - known.first_ms > 1000 * self._parameters.detour_standing_s,
        )

    def _lines(self, known: Known) -> list[DetouredLine]:
        first, route_ids = self._geometry.first, self._network.routes.ids
        listed = sorted(known.stretches, key=lambda pattern: (self._detours.line_of[pattern], pattern))
        return [
            DetouredLine(
                route_id=str(route_ids[route]),
                direction_id=direction,
                patterns=patterns,
                left_m=[round(known.stretches[one].left_m, 1) for one in patterns],
                back_m=[round(known.stretches[one].back_m, 1) for one in patterns],
                missed=[[row - int(first[one]) for row in self._detours.missed(known, one)] for one in patterns],
            )
            for (route, direction), group in itertools.groupby(listed, key=self._detours.line_of.__getitem__)
            for patterns in [list(group)]
        ]

    def _stop(self, row: int) -> str:
        return str(self._network.stops.ids[int(self._network.patterns.stop[row])])
