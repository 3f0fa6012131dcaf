"""The detours that the map shows, kept up to date from the change feed. Pure: it is told them and asked for the view.

Offsets along lines become what can be drawn: the stretch of line left out, the way last driven. Longitude first, as in
GeoJSON.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from pyproj import Transformer

from dispatch.messages import DetourShown, LineShown
from gtfs_data.network import Network
from transit.model import Detour, DetouredLine
from transit.outcomes import DetourState

COORDINATE_DIGITS = 6  # about 0.1 m


@dataclass(slots=True)
class Detours:
    """Detours by id; those that are over are forgotten."""

    network: Network
    _shown: dict[str, DetourShown] = field(default_factory=dict)
    _changed: bool = False

    def replace(self, detours: Iterable[Detour]) -> None:
        """Take a snapshot: ``detours`` are all there are."""
        before = self._shown
        self._shown = {one.detour_id: self._view(one) for one in detours if one.state != DetourState.OVER}
        self._changed |= self._shown != before

    def apply(self, detours: Iterable[Detour]) -> None:
        """Take what the change feed says is new, changed or over."""
        for detour in detours:
            before = self._shown.pop(detour.detour_id, None)
            if detour.state != DetourState.OVER:
                self._shown[detour.detour_id] = self._view(detour)
            self._changed |= self._shown.get(detour.detour_id) != before

    def all(self) -> list[DetourShown]:
        """Return every detour, the latest first."""
        return sorted(self._shown.values(), key=lambda one: (-one.since_ms, one.id))

    def take_changes(self) -> list[DetourShown] | None:
        """Return all detours if any looks different since the last call, else None."""
        changed, self._changed = self._changed, False
        return self.all() if changed else None

    def _view(self, detour: Detour) -> DetourShown:
        return DetourShown(
            id=detour.detour_id,
            state=detour.state,
            since_ms=detour.since_ms,
            last_ms=detour.last_ms,
            lines=[LineShown(route=line.route_id, direction=line.direction_id) for line in detour.lines],
            vehicles=detour.vehicles,
            under_way=detour.under_way,
            missed=detour.missed,
            before=detour.before_stop_id,
            after=detour.after_stop_id,
            extra_s=detour.extra_s,
            standing=detour.standing,
            left_out=[drawn for line in detour.lines if (drawn := self._left_out(line))],
            path=[(lon, lat) for lat, lon in detour.path],
        )

    def _left_out(self, line: DetouredLine) -> list[tuple[float, float]]:
        """Return the stretch that one pattern of ``line`` leaves out; of another feed, or unknown: nothing."""
        patterns, pattern, left_m, back_m = self.network.patterns, line.patterns[0], line.left_m[0], line.back_m[0]
        if pattern >= len(patterns) or back_m <= left_m:
            return []
        first, last = int(patterns.line_first[pattern]), int(patterns.line_last[pattern])
        along_m, xy = patterns.line_offset_m[first:last], patterns.line_xy[first:last]
        inner_m = along_m[(along_m > left_m) & (along_m < back_m)]
        at_m = np.concatenate([[left_m], inner_m, [back_m]])
        x, y = (np.interp(at_m, along_m, column) for column in xy.T)
        lon, lat = Transformer.from_crs(self.network.epsg, 4326, always_xy=True).transform(x, y)
        places = np.round(np.column_stack((lon, lat)), COORDINATE_DIGITS).tolist()
        return [(here[0], here[1]) for here in places]
