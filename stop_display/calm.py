"""What of the truth may be shown after what was shown: boards that jump about are not believed. Pure.

Three rules. A countdown does not go up by one minute: it waits until the bus is expected two minutes later, or until
time has caught up. A row that was about to be due and went does not come back, not as a planned time either
(``Memory``, heeded by ``LineBoard.line_of``). Two arrivals whose times are close keep their order.
"""

import itertools
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from stop_display.board import FOLLOWED, served_as
from stop_display.model import BoardArrival, Line

MINUTE_MS: Final = 60_000
MINUTE_S: Final = 60
DUE_MS: Final = 90_000  # a row that goes with so little left has been served
REVIVAL_MS: Final = 180_000  # and is not shown again for so long
SWAP_MS: Final = 20_000
HELD_MAX_MS: Final = 2 * MINUTE_MS  # what is shown is never so much earlier than the truth


def minutes(arrival_ms: int, now_ms: int) -> int:
    """Return the figure of a countdown."""
    return max(arrival_ms - now_ms, 0) // MINUTE_MS


@dataclass(slots=True)
class Memory:
    """Calls of one line whose bus has been and gone, and until when each is remembered."""

    served_until_ms: dict[str, int] = field(default_factory=dict)

    def note(self, shown: Line, coming: Container[str], now_ms: int) -> None:
        """Remember rows of ``shown`` that were about to be due and whose calls are no longer ``coming``.

        Call it only while tracking is heard: rows that go because nothing is known have not been served.
        """
        if self.served_until_ms:
            for call in [call for call, until_ms in self.served_until_ms.items() if until_ms <= now_ms]:
                del self.served_until_ms[call]
        for row in shown.arrivals:
            if row.arrival_ms - now_ms > DUE_MS or row.state not in FOLLOWED:
                continue
            call = served_as(row)
            if call not in coming:
                planned_ms = row.scheduled_ms or 0  # an early bus is gone before its time
                self.served_until_ms[call] = max(now_ms, planned_ms) + REVIVAL_MS


def calm(shown: Line | None, true: Line, now_ms: int) -> Line:
    """Return what is shown next of a line: ``true`` as far as the rules allow."""
    if shown is None or shown == true:
        return true
    before = {arrival.key: arrival for arrival in shown.arrivals}
    arrivals = [_held(before.get(arrival.key), arrival, now_ms) for arrival in true.arrivals]
    if any(later.arrival_ms - earlier.arrival_ms < SWAP_MS for earlier, later in itertools.pairwise(arrivals)):
        arrivals = _steady(arrivals, [arrival.key for arrival in shown.arrivals])
    headway_s = _headway_held(shown, true)
    if arrivals == true.arrivals and headway_s == true.headway_s:
        return true
    return msgspec.structs.replace(true, arrivals=arrivals, headway_s=headway_s)


def _headway_held(shown: Line, true: Line) -> tuple[int, int] | None:
    """Return the headway to show: what was shown, as long as neither figure is off by more than a minute."""
    before, now = shown.headway_s, true.headway_s
    if before is None or now is None or shown.headway_planned != true.headway_planned:
        return now
    return before if max(abs(before[0] - now[0]), abs(before[1] - now[1])) <= MINUTE_S else now


def _held(before: BoardArrival | None, now: BoardArrival, now_ms: int) -> BoardArrival:
    if before is None or before.state not in FOLLOWED or now.state not in FOLLOWED:
        return now
    if now.arrival_ms <= before.arrival_ms:
        return now
    if minutes(now.arrival_ms, now_ms) - minutes(before.arrival_ms, now_ms) != 1:
        return now
    return msgspec.structs.replace(
        now, arrival_ms=before.arrival_ms, p10_ms=before.p10_ms, p90_ms=before.p90_ms, delay_s=before.delay_s
    )


def _steady(arrivals: list[BoardArrival], order: Sequence[str]) -> list[BoardArrival]:
    """Return ``arrivals`` by time, neighbours closer than ``SWAP_MS`` in the order in which they were shown."""
    place = {key: i for i, key in enumerate(order)}
    arrivals = sorted(arrivals, key=lambda arrival: (arrival.arrival_ms, arrival.key))
    for i in range(len(arrivals) - 1):
        first, second = arrivals[i], arrivals[i + 1]
        close = second.arrival_ms - first.arrival_ms < SWAP_MS
        if close and place.get(second.key, len(place)) < place.get(first.key, -1):
            arrivals[i], arrivals[i + 1] = second, first
    return arrivals
