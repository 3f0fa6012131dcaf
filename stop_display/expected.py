"""What tracking expects of one line at one stop, in order of time and by call, so that nobody looks at all of it. Pure.

A *call* is one stop of one run, whoever drives it. Two vehicles may be expected on the same call for a while, when one
takes a run over from another: the one that was named later counts.
"""

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from transit.model import Arrival


class Expected:
    """Tracking's arrivals of one line at one stop."""

    __slots__ = ("_by_call", "_by_key", "_in_order", "_times_ms")

    def __init__(self, arrivals: Iterable[Arrival] = ()) -> None:
        self._by_key: dict[str, Arrival] = {}
        self._by_call: dict[str, tuple[str, ...]] = {}  # call → keys, in the order in which they were named
        self._in_order: list[Arrival] = []
        self._times_ms: list[int] = []  # of these
        for arrival in arrivals:
            self.take(arrival)

    def take(self, arrival: Arrival) -> None:
        """Add an arrival, or put it in the place of the one with its key."""
        key, at_ms, times_ms = arrival.key, arrival.arrival_ms, self._times_ms
        before = self._by_key.get(key)
        if before is not None and (before.stop_sequence != arrival.stop_sequence or before.run_key != arrival.run_key):
            self.drop(key)
            before = None
        self._by_key[key] = arrival
        if before is None:
            call = call_of(arrival.run_key, arrival.stop_sequence)
            self._by_call[call] = (*self._by_call.get(call, ()), key)
        else:
            at = self._place(before)
            if (at == 0 or times_ms[at - 1] < at_ms) and (at + 1 == len(times_ms) or at_ms < times_ms[at + 1]):
                self._in_order[at], times_ms[at] = arrival, at_ms  # as mostly: none has overtaken another
                return
            del self._in_order[at], times_ms[at]
        at = bisect.bisect_left(times_ms, at_ms)
        while at < len(times_ms) and times_ms[at] == at_ms and self._in_order[at].key < key:
            at += 1
        self._in_order.insert(at, arrival)
        times_ms.insert(at, at_ms)

    def drop(self, key: str) -> None:
        """Forget an arrival.

        Raises:
            KeyError: if none of that key is known.
        """
        arrival = self._by_key.pop(key)
        at = self._place(arrival)
        del self._in_order[at], self._times_ms[at]
        call = call_of(arrival.run_key, arrival.stop_sequence)
        others = tuple(other for other in self._by_call.pop(call) if other != key)
        if others:
            self._by_call[call] = others

    def before(self, until_ms: int) -> Sequence[Arrival]:
        """Return the arrivals before ``until_ms``, in order of time."""
        if not self._times_ms or self._times_ms[0] >= until_ms:
            return ()
        return self._in_order[: bisect.bisect_left(self._times_ms, until_ms)]

    def in_order(self) -> Sequence[Arrival]:
        """Return all arrivals in order of time, those at the same time by key."""
        return self._in_order

    @property
    def one_a_call(self) -> bool:
        """Whether no two arrivals are on the same call."""
        return len(self._by_call) == len(self._by_key)

    def on_call(self, call: str) -> Sequence[str]:
        """Return the keys of the arrivals on one call, those named later last."""
        return self._by_call.get(call, ())

    def _place(self, arrival: Arrival) -> int:
        at = bisect.bisect_left(self._times_ms, arrival.arrival_ms)
        while self._in_order[at] is not arrival:
            at += 1
        return at


@dataclass(slots=True)
class Coming:
    """Those of ``expected`` that are still to come: all but the keys ``gone``. A container of calls."""

    expected: Expected
    gone: frozenset[str] = frozenset()

    def __contains__(self, call: object) -> bool:
        """Return whether a vehicle is still to come on a call."""
        return isinstance(call, str) and any(key not in self.gone for key in self.expected.on_call(call))

    def __iter__(self) -> Iterator[Arrival]:
        """Yield one arrival for each call, in order of time."""
        if not self.gone and self.expected.one_a_call:
            return iter(self.expected.in_order())
        return (one for one in self.expected.in_order() if one.key not in self.gone and self._counts(one))

    def _counts(self, arrival: Arrival) -> bool:
        """Return whether no other arrival to come on the same call was named later."""
        on_call = self.expected.on_call(call_of(arrival.run_key, arrival.stop_sequence))
        return arrival.key == [key for key in on_call if key not in self.gone][-1]


def call_of(run_key: str, stop_sequence: int) -> str:
    """Return what names one call of one run, whoever drives it; a loop calls twice where it begins."""
    return f"{run_key}|{stop_sequence}"
