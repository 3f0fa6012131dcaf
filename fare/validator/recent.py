"""What a validator remembers of its own taps: who has paid on this vehicle, and what the server does not know yet.

Fed with taps in the order of the journal, whether they happen now or are read back after a restart: so a restart
charges nobody twice. Several readers of one vehicle share it. Amounts are tiyn, times those of the corrected clock
(``Tap.occurred_ms``).
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeVar

from fare.model import MediumId, Tap
from fare.outcomes import TapOutcome

Value = TypeVar("Value")

MEDIA_MAX: Final = 50_000  # of which counters and rides are remembered; a vehicle sees some thousands in a day


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """The last ride a medium paid for."""

    tapped_ms: int
    vehicle_id: str
    trip_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """Rides of a medium that the server has not acknowledged."""

    rides: int = 0
    tiyn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the server said last of a medium that rode here."""

    balance_tiyn: int
    as_of_ms: int


@dataclass(slots=True)
class RecentTaps:
    """Ask it before a decision, tell it after: ``remember`` each recorded tap, ``acknowledge`` what the server has."""

    _paid: "OrderedDict[MediumId, Paid]" = field(default_factory=OrderedDict)
    _counters: "OrderedDict[MediumId, int]" = field(default_factory=OrderedDict)
    _waiting: "deque[Tap]" = field(default_factory=deque)  # accepted, not acknowledged
    _offline: dict[MediumId, Offline] = field(default_factory=dict)
    _seen: "OrderedDict[MediumId, None]" = field(default_factory=OrderedDict)  # acknowledged rides
    _at_reader: dict[str, tuple[MediumId, int]] = field(default_factory=dict)
    _accounts: "OrderedDict[MediumId, Account]" = field(default_factory=OrderedDict)

    def paid(self, medium_id: MediumId) -> Paid | None:
        """Return the last ride that the medium paid for, None if none is remembered."""
        return self._paid.get(medium_id)

    def counter(self, medium_id: MediumId) -> int:
        """Return the highest counter the medium has shown, -1 if none."""
        return self._counters.get(medium_id, -1)

    def offline(self, medium_id: MediumId) -> Offline:
        """Return what the medium rode without the server knowing."""
        return self._offline.get(medium_id, Offline())

    def seen(self, medium_id: MediumId) -> bool:
        """Return whether the server has acknowledged a ride of the medium on this device."""
        return medium_id in self._seen

    def at_reader(self, reader: str) -> tuple[MediumId, int] | None:
        """Return the medium that rode last at a reader, and when."""
        return self._at_reader.get(reader)

    def account(self, medium_id: MediumId) -> Account | None:
        """Return what the server said last of the medium."""
        return self._accounts.get(medium_id)

    def accounts(self) -> Mapping[MediumId, Account]:
        """Return all that the server said, the oldest first."""
        return MappingProxyType(self._accounts)

    def remember(self, tap: Tap, *, reader: str = "") -> None:
        """Take in a tap that is recorded."""
        if not tap.medium_id:
            return
        if tap.counter > self.counter(tap.medium_id):
            _put(self._counters, tap.medium_id, tap.counter)
        if tap.outcome is TapOutcome.ACCEPTED:
            paid = Paid(tapped_ms=tap.occurred_ms, vehicle_id=tap.vehicle_id, trip_id=tap.trip_id)
            _put(self._paid, tap.medium_id, paid)
            self._waiting.append(tap)
            self._count(tap, 1)
            self._at_reader[reader] = (tap.medium_id, tap.occurred_ms)
        elif tap.outcome is TapOutcome.ALREADY_PAID:
            self._at_reader[reader] = (tap.medium_id, tap.occurred_ms)

    def acknowledge(self, sequence: int) -> None:
        """Note that the server has every record up to ``sequence``."""
        while self._waiting and self._waiting[0].sequence <= sequence:
            tap = self._waiting.popleft()
            self._count(tap, -1)
            _put(self._seen, tap.medium_id, None)

    def hear(self, accounts: Iterable[tuple[MediumId, int]], as_of_ms: int) -> None:
        """Take in balances that the server gave with a receipt."""
        for medium_id, balance_tiyn in accounts:
            _put(self._accounts, medium_id, Account(balance_tiyn=balance_tiyn, as_of_ms=as_of_ms))

    def _count(self, tap: Tap, sign: int) -> None:
        before = self.offline(tap.medium_id)
        after = Offline(rides=before.rides + sign, tiyn=before.tiyn + sign * tap.shown_tiyn)
        if after.rides > 0:
            self._offline[tap.medium_id] = after
        else:
            self._offline.pop(tap.medium_id, None)


def _put(kept: "OrderedDict[MediumId, Value]", medium_id: MediumId, value: Value) -> None:
    kept[medium_id] = value
    kept.move_to_end(medium_id)
    if len(kept) > MEDIA_MAX:
        kept.popitem(last=False)
