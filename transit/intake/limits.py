"""How much a stranger, an address or a device may ask of us. Wall seconds are given in, so that tests need no clock."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

ADDRESSES_MAX: Final = 10_000
WINDOW_S: Final = 60.0


class FailureLimit:
    """Failed sign-ins per address and minute.

    Mobile carriers put a whole fleet behind one address, so an address over its limit is not shut out: a right key is
    always taken, and only failures are answered late and no longer logged.
    """

    def __init__(self, per_minute: int, *, addresses_max: int = ADDRESSES_MAX) -> None:
        self._per_minute = per_minute
        self._addresses_max = addresses_max
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()  # address → window's start, count

    def failed(self, address: str, now_s: float) -> bool:
        """Count a failure; return whether the address is now over its limit."""
        since_s, count = self._failures.pop(address, (now_s, 0))
        if now_s - since_s >= WINDOW_S:
            since_s, count = now_s, 0
        self._failures[address] = (since_s, count + 1)
        if len(self._failures) > self._addresses_max:
            self._failures.popitem(last=False)
        return count + 1 > self._per_minute


@dataclass(slots=True)
class _Allowance:
    left: float
    at_s: float


class ReportLimit:
    """Reports per second and device, with a burst for what a tracker gathered in a tunnel (a token bucket)."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._by_device: dict[str, _Allowance] = {}  # only devices that signed in: the registry bounds it

    def take(self, device_id: str, reports: int, now_s: float) -> float:
        """Take ``reports`` from the allowance; return how many seconds the device is ahead of it (0: in time)."""
        allowance = self._by_device.get(device_id)
        if allowance is None:
            allowance = self._by_device[device_id] = _Allowance(float(self._burst), now_s)
        allowance.left = min(allowance.left + (now_s - allowance.at_s) * self._per_s, float(self._burst)) - reports
        allowance.at_s = now_s
        return max(0.0, -allowance.left / self._per_s)

    def give_back(self, device_id: str, reports: int) -> None:
        """Undo ``take`` of reports that were not stored."""
        allowance = self._by_device.get(device_id)
        if allowance is not None:
            allowance.left += reports
