"""Whether a panel does what it is for: dark, stale or wrong, and why. Pure: all clocks are arguments."""

import enum
from dataclasses import dataclass
from typing import Final

from stop_display.panels.model import Panel, Remark, Report, hours_of, is_open

DARK_AFTER_S: Final = 150.0  # a report is due every 30 to 60 s: two in a row are missing
STALE_AFTER_S: Final = 60.0  # as the board itself says
LOW_BATTERY: Final = 0.2


class Standing(enum.StrEnum):
    """How a panel is, the worst last but for what its hours excuse. Metric label."""

    OK = enum.auto()
    OFF = enum.auto()  # outside its hours: black as it should be
    WRONG = enum.auto()  # two reports in a row show something else than the server says
    STALE = enum.auto()  # paints, but has not heard the server for a minute
    DARK = enum.auto()  # not heard


class RemarkCode(enum.StrEnum):
    """Each is a text of the control room."""

    NEVER_HEARD = enum.auto()
    NOT_HEARD = enum.auto()  # for so many seconds
    CONTENT_OLD = enum.auto()  # so many seconds
    NEVER_CONTENT = enum.auto()
    NOT_OFF = enum.auto()  # shines outside its hours
    NOT_ON = enum.auto()  # black within its hours
    STOP_MISSING = enum.auto()
    STOP_OTHER = enum.auto()
    CLOCK = enum.auto()  # shows another time
    ROUTE_UNKNOWN = enum.auto()
    FIGURE = enum.auto()  # of a row is not what the server says
    ROUTE_MISSING = enum.auto()
    OLD_PAGE = enum.auto()
    BATTERY_LOW = enum.auto()
    SCRIPT_ERRORS = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How a panel is and why; ``remarks`` may hold more than what decided."""

    standing: Standing
    remarks: tuple[Remark, ...] = ()
    silent_s: float | None = None  # since its last report; None: there was none


def judge(
    panel: Panel, report: Report | None, *, wall_ms: int, up_ms: int, local_minute: int, version: str
) -> Judgement:
    """Say how ``panel`` is at ``wall_ms``.

    ``up_ms``: since when the server can have heard it, so that a restart of ours makes no board dark. ``local_minute``:
    of the city's day. ``version``: of the page as the server has it.
    """
    on = is_open(hours_of(panel.config.hours), local_minute)
    silent_s = (wall_ms - report.at_ms) / 1000 if report is not None else None
    waited_s = (wall_ms - max(up_ms, report.at_ms if report is not None else 0)) / 1000
    if waited_s > DARK_AFTER_S or report is None:
        said = (
            Remark(code=RemarkCode.NEVER_HEARD)
            if report is None or silent_s is None
            else Remark(code=RemarkCode.NOT_HEARD, detail=f"{silent_s:.0f}")
        )
        return Judgement(standing=Standing.DARK if on else Standing.OFF, remarks=(said,), silent_s=silent_s)
    worth_knowing = _worth_knowing(report, version)
    if not on:
        shines = (Remark(code=RemarkCode.NOT_OFF),) if not report.health.off else ()
        return Judgement(standing=Standing.OFF, remarks=(*shines, *worth_knowing), silent_s=silent_s)
    standing, reasons = _painting(report)
    return Judgement(standing=standing, remarks=(*reasons, *worth_knowing), silent_s=silent_s)


def _painting(report: Report) -> tuple[Standing, tuple[Remark, ...]]:
    age_s = report.health.content_age_s
    if age_s is None:
        return Standing.STALE, (Remark(code=RemarkCode.NEVER_CONTENT),)
    if age_s > STALE_AFTER_S:
        return Standing.STALE, (Remark(code=RemarkCode.CONTENT_OLD, detail=f"{age_s:.0f}"),)
    if report.differs and report.differed_before:
        return Standing.WRONG, tuple(report.differs)
    return Standing.OK, ()


def _worth_knowing(report: Report, version: str) -> tuple[Remark, ...]:
    health, found = report.health, []
    if health.version and health.version != version:
        found.append(Remark(code=RemarkCode.OLD_PAGE, detail=health.version))
    if health.battery is not None and health.battery < LOW_BATTERY and not health.charging:
        found.append(Remark(code=RemarkCode.BATTERY_LOW, detail=f"{health.battery * 100:.0f}"))
    if health.errors:
        found.append(Remark(code=RemarkCode.SCRIPT_ERRORS, detail=health.last_error or str(health.errors)))
    return tuple(found)
