"""What dispatchers say by hand: alerts as GTFS-Realtime has them, and runs that are cancelled. Pure.

An alert names its stops and routes, when it holds, and ends by itself. A cancellation names one run, or all runs of one
trip on one service day; it holds until the run's planned end has passed, or until it is taken back. Names of causes,
effects and severities are those of GTFS-Realtime's Alert, in lower case. Times are UTC epoch milliseconds.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

KEEP_MS: Final = 7 * 86_400_000  # how long what is over can still be looked at
FOLLOWED_MS: Final = 3 * 3_600_000  # a late bus on a cancelled run stays cancelled for so long after its planned end


class Cause(enum.StrEnum):
    """Why."""

    UNKNOWN_CAUSE = enum.auto()
    OTHER_CAUSE = enum.auto()
    TECHNICAL_PROBLEM = enum.auto()
    STRIKE = enum.auto()
    DEMONSTRATION = enum.auto()
    ACCIDENT = enum.auto()
    HOLIDAY = enum.auto()
    WEATHER = enum.auto()
    MAINTENANCE = enum.auto()
    CONSTRUCTION = enum.auto()
    POLICE_ACTIVITY = enum.auto()
    MEDICAL_EMERGENCY = enum.auto()


class Effect(enum.StrEnum):
    """What it does to passengers."""

    NO_SERVICE = enum.auto()
    REDUCED_SERVICE = enum.auto()
    SIGNIFICANT_DELAYS = enum.auto()
    DETOUR = enum.auto()
    ADDITIONAL_SERVICE = enum.auto()
    MODIFIED_SERVICE = enum.auto()
    OTHER_EFFECT = enum.auto()
    UNKNOWN_EFFECT = enum.auto()
    STOP_MOVED = enum.auto()
    NO_EFFECT = enum.auto()
    ACCESSIBILITY_ISSUE = enum.auto()


class Severity(enum.StrEnum):
    """How much it matters, rising."""

    UNKNOWN_SEVERITY = enum.auto()
    INFO = enum.auto()
    WARNING = enum.auto()
    SEVERE = enum.auto()


_RANK: Final[Mapping[Severity, int]] = {severity: rank for rank, severity in enumerate(Severity)}


class Informed(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an alert is for: a stop, a route, or a route at a stop (both)."""

    stop_id: str = ""
    route_id: str = ""


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """From ``start_ms`` up to ``end_ms``."""

    start_ms: int
    end_ms: int


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What passengers must know. Without ``informed`` it is for the whole city."""

    alert_id: str
    header: Mapping[str, str]  # language → one line
    text: Mapping[str, str] = {}
    cause: Cause = Cause.UNKNOWN_CAUSE
    effect: Effect = Effect.UNKNOWN_EFFECT
    severity: Severity = Severity.UNKNOWN_SEVERITY
    informed: list[Informed] = []
    periods: list[Period]
    takeover: bool = False  # it fills the boards
    author: str
    made_ms: int
    ended_by: str = ""  # who ended it before its time

    def period_at(self, now_ms: int) -> Period | None:
        """Return the period that holds at ``now_ms``."""
        return next((one for one in self.periods if one.start_ms <= now_ms < one.end_ms), None)

    @property
    def over_ms(self) -> int:
        """When its last period ends."""
        return max(period.end_ms for period in self.periods)

    def concerns(self, stop_id: str, routes: Iterable[str]) -> tuple[bool, frozenset[str]]:
        """Return whether it is for a stop where ``routes`` call, and which of them it names; none named is all."""
        if not self.informed:
            return True, frozenset()
        calling = frozenset(routes)
        here = [
            one
            for one in self.informed
            if one.stop_id in ("", stop_id) and (not one.route_id or one.route_id in calling)
        ]
        named = frozenset(one.route_id for one in here)
        return bool(here), frozenset() if "" in named else named

    def ended(self, now_ms: int, by: str) -> "Alert":
        """Return it as it is when somebody ends it at ``now_ms``: what was to come does not."""
        periods = [
            Period(start_ms=min(one.start_ms, now_ms), end_ms=min(one.end_ms, now_ms))
            for one in self.periods
            if one.start_ms < now_ms
        ]
        never = [Period(start_ms=now_ms, end_ms=now_ms)]
        return msgspec.structs.replace(self, periods=periods or never, ended_by=by)


class Cancellation(msgspec.Struct, frozen=True, kw_only=True):
    """One run does not run, or all runs of one trip on one service day.

    ``name`` is the run's key, ``YYYYMMDD:trip_id@departure`` (epoch seconds), or the same without ``@departure``.
    """

    name: str
    until_ms: int  # the planned end, and some time
    author: str
    made_ms: int


class Cancelled:
    """Which runs are cancelled, by name. A container of run keys and of trips on a day."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(names)

    def __contains__(self, run_key: object) -> bool:
        """Return whether a run does not run."""
        if not self._names or not isinstance(run_key, str):
            return False
        return run_key in self._names or run_key.rpartition("@")[0] in self._names

    def __bool__(self) -> bool:
        """Return whether anything is cancelled."""
        return bool(self._names)

    def __eq__(self, other: object) -> bool:
        """Return whether ``other`` cancels the same."""
        return isinstance(other, Cancelled) and self._names == other._names

    def __hash__(self) -> int:
        """Return the hash of the names."""
        return hash(self._names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """All that dispatchers have said and that may hold now or later."""

    alerts: tuple[Alert, ...] = ()
    cancellations: tuple[Cancellation, ...] = ()

    def alerts_at(self, now_ms: int) -> tuple[Alert, ...]:
        """Return the alerts that hold now: those that fill boards first, then by severity, then the newest."""
        return tuple(
            sorted(
                (alert for alert in self.alerts if alert.period_at(now_ms) is not None),
                key=lambda alert: (not alert.takeover, -_RANK[alert.severity], -alert.made_ms, alert.alert_id),
            )
        )

    def cancelled_at(self, now_ms: int) -> Cancelled:
        """Return the runs that are cancelled now."""
        return Cancelled(one.name for one in self.cancellations if now_ms < one.until_ms)

    def changes_after(self, now_ms: int) -> int | None:
        """Return when time alone changes what holds, None if it never does."""
        moments = [moment for alert in self.alerts for one in alert.periods for moment in (one.start_ms, one.end_ms)]
        moments += [one.until_ms for one in self.cancellations]
        return min((moment for moment in moments if moment > now_ms), default=None)


def in_every_language(text: Mapping[str, str], languages: Iterable[str]) -> Mapping[str, str]:
    """Return ``text`` with the languages that it lacks said in the first that it has: better foreign than unsaid."""
    said = next((text[language] for language in languages if text.get(language)), "")
    if not said:
        return {}
    return {language: text.get(language) or said for language in languages}
