"""How wrong the device's clock is, by the server and by the vehicle's GPS.

A small computer without battery wakes up in 1970, and a SIM without network cannot ask. The device's clock is never
set: its offset is estimated, kept with each tap, and each change is noted in the journal. Method: the server's time is
that of the middle of the round trip, known to half of it (Cristian 1989); GPS time is known to half a second. Pure;
milliseconds.
"""

import enum
from dataclasses import dataclass
from typing import Final

GPS_ERROR_MS: Final = 500  # NMEA sentences come up to this long after the second that they name
STEP_MS: Final = 500  # a smaller change is not worth a note
GOOD_FOR_MS: Final = 3_600_000  # after that any answer is better than the old one: quartz drifts some 0.1 s an hour
DISPUTE_MS: Final = 120_000


class Source(enum.StrEnum):
    """Who said what time it is."""

    SERVER = enum.auto()
    GPS = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """What to add to the device's clock, give or take ``error_ms``; ``at_ms`` is a clock that is never set back."""

    offset_ms: int
    error_ms: int
    source: Source
    at_ms: int


@dataclass(slots=True)
class ClockCheck:
    """Tell it what others say; ``offset_ms`` is what to add to the device's clock."""

    _best: Offset | None = None
    _by_server: Offset | None = None
    _noted_ms: int = 0
    disputed: bool = False  # GPS and server differ by more than two minutes: one of them lies

    @property
    def offset_ms(self) -> int:
        """Return what to add to the device's clock; 0 while nobody has said anything."""
        return 0 if self._best is None else self._best.offset_ms

    def by_server(self, *, server_ms: int, device_ms: int, round_trip_ms: int, at_ms: int) -> Offset | None:
        """Take in the server's time, heard at ``device_ms``; return the offset if it is a change worth noting."""
        offset_ms = server_ms + round_trip_ms // 2 - device_ms
        heard = Offset(offset_ms=offset_ms, error_ms=round_trip_ms // 2 + 1, source=Source.SERVER, at_ms=at_ms)
        self._by_server = heard
        return self._take(heard)

    def by_gps(self, *, gps_ms: int, device_ms: int, at_ms: int) -> Offset | None:
        """Take in the time of a GPS sentence; return the offset if it is a change worth noting.

        Where the server was heard within the hour and says something else by more than two minutes, the server counts.
        """
        heard = Offset(offset_ms=gps_ms - device_ms, error_ms=GPS_ERROR_MS, source=Source.GPS, at_ms=at_ms)
        server = self._by_server
        if server is not None and at_ms - server.at_ms < GOOD_FOR_MS:
            self.disputed = abs(server.offset_ms - heard.offset_ms) > DISPUTE_MS
            if self.disputed:
                return None
        return self._take(heard)

    def _take(self, heard: Offset) -> Offset | None:
        best = self._best
        agrees = best is not None and abs(best.offset_ms - heard.offset_ms) <= best.error_ms + heard.error_ms
        if best is not None and agrees and heard.error_ms > best.error_ms and heard.at_ms - best.at_ms < GOOD_FOR_MS:
            return None
        self._best = heard
        if abs(heard.offset_ms - self._noted_ms) < STEP_MS:
            return None
        self._noted_ms = heard.offset_ms
        return heard
