"""What all intake servers share: who is it, how much may it send, and are its reports in Redis."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from commons.clock import Clock, monotonic_s
from commons.group_commit import GroupCommit
from commons.logs import get_logger
from commons.metrics import Metrics
from transit.intake.devices import Device, Devices
from transit.intake.limits import FailureLimit, ReportLimit
from transit.model import PositionReport
from transit.protocols._base import Fix, Refusal, SignIn

_log: Final = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    """What an operator chooses. ``ports``: protocol name → port, 0 for any free one; a protocol not named is off."""

    ports: Mapping[str, int]
    host: str = "127.0.0.1"
    connections_max: int = 20_000  # per protocol
    idle_s: float = 900.0  # a signed-in tracker that says nothing for so long is gone
    sign_in_s: float = 30.0  # a connection that has not signed in by then is closed
    reports_per_s: float = 20.0  # per device and second of city time
    reports_burst: int = 5_000
    failures_per_minute: int = 30  # failed sign-ins per address before answers come late
    batch_max: int = 2_000  # reports in one entry of the stream
    waiting_max: int = 20_000  # packets waiting for Redis before sockets are no longer read
    http_body_max: int = 262_144  # bytes
    http_store_s: float = 10.0  # an HTTP request waits so long for Redis, then gets 503
    closing_s: float = 5.0  # at the end, what is under way has so long to be stored


class Reception:
    """One intake process: registry, limits, counters and the way to Redis."""

    def __init__(
        self,
        settings: IntakeSettings,
        *,
        devices: Devices,
        commit: GroupCommit[PositionReport],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self._devices = devices
        self._commit = commit
        self._clock = clock
        self._failures = FailureLimit(settings.failures_per_minute)
        self._reports = ReportLimit(settings.reports_per_s * clock.rate, settings.reports_burst)

    def now_ms(self) -> int:
        """Return city time: when what is read now was received."""
        return self._clock.now_ms()

    def sign_in(self, protocol: str, sign_in: SignIn, address: str) -> tuple[Device | Refusal, bool]:
        """Return the device or why not, and whether its address fails too often."""
        found = self._devices.check(sign_in)
        if isinstance(found, Device):
            return found, False
        self.count_refused(protocol, (found,))
        too_often = self._failures.failed(address, monotonic_s())
        if not too_often:
            _log.warning("sign-in refused", protocol=protocol, device=sign_in.device_id, reason=found, address=address)
        return found, too_often

    def current(self, device_id: str) -> Device | None:
        """Return the device as the registry has it now, None if it may no longer report."""
        return self._devices.current(device_id)

    def ahead_s(self, device: Device, reports: int) -> float:
        """Count ``reports`` against the device's allowance; return how many seconds it is ahead of it."""
        return self._reports.take(device.device_id, reports, monotonic_s())

    def give_back(self, device: Device, reports: int) -> None:
        """Undo ``ahead_s`` of reports that are turned away."""
        self._reports.give_back(device.device_id, reports)

    async def store(self, protocol: str, device: Device, fixes: Sequence[Fix], received_ms: int) -> None:
        """Return when Redis has ``fixes``.

        Raises:
            Exception: whatever the write raised, when intake is closing; nothing may be acknowledged then.
        """
        began_s = monotonic_s()
        await self._commit.submit([_report_of(fix, device.vehicle_id, received_ms) for fix in fixes])
        self.metrics.count("intake_reports_total", len(fixes), protocol=protocol, outcome="stored")
        self.metrics.observe("intake_commit_seconds", monotonic_s() - began_s, protocol=protocol)

    def count_refused(self, protocol: str, refused: Sequence[Refusal]) -> None:
        """Count packets and records that were not taken, by reason."""
        for refusal, number in Counter(refused).items():
            self.metrics.count("intake_reports_total", number, protocol=protocol, outcome=refusal.value)


def _report_of(fix: Fix, vehicle_id: str, received_ms: int) -> PositionReport:
    return PositionReport(
        vehicle_id=vehicle_id,
        fix_ms=fix.fix_ms,
        received_ms=received_ms,
        lat=fix.lat,
        lon=fix.lon,
        speed_mps=fix.speed_mps,
        heading_deg=fix.heading_deg,
        archived=fix.archived,
        trip_id=fix.trip_id,
        block_id=fix.block_id,
        route_id=fix.route_id,
        direction_id=fix.direction_id,
    )
