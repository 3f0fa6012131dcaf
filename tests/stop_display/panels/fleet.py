"""Panels, reports and boards, short to write in a test."""

from stop_display.model import BoardArrival, Line, StopBoard
from stop_display.panels.model import PaintedRow, Panel, PanelConfig, PanelHealth, Report
from stop_display.panels.store import digest_of
from stop_display.panels.truth import Now

NOON_MS = 1_790_060_400_000  # 22 September 2026, 12:00 at UTC+5
NOON = Now(ms=NOON_MS, rate=1.0, utc_offset_s=5 * 3600)
MINUTE_MS = 60_000
STOP = "alan"
NAME = {"kk": "Орталық алаң", "ru": "Центральная площадь", "en": "Central square"}
TO = {"kk": "Шұғыла", "ru": "Шугыла", "en": "Shugyla"}


def panel(name: str = "kiosk-4", *, stops: tuple[str, ...] = (STOP,), hours: str = "", **changes: object) -> Panel:
    config = PanelConfig(stops=stops, hours=hours)
    return Panel(**({"name": name, "config": config, "key_digest": digest_of(name)} | changes))  # type: ignore[arg-type]


def health(*rows: PaintedRow, **changes: object) -> PanelHealth:
    values: dict[str, object] = {
        "version": "v1",
        "uptime_s": 600.0,
        "content_age_s": 2.0,
        "stops": [STOP],
        "clock": "12:00",
        "rows": list(rows),
    }
    return PanelHealth(**(values | changes))  # type: ignore[arg-type]


def report(at_ms: int, of: PanelHealth | None = None, **changes: object) -> Report:
    return Report(**({"at_ms": at_ms, "health": of or health()} | changes))  # type: ignore[arg-type]


def row(figure: str, *, state: str = "live", route: str = "10", stop: str = STOP) -> PaintedRow:
    return PaintedRow(stop=stop, route=route, figure=figure, state=state)


def bus(in_s: float, *, state: str = "live", key: str = "", **more: object) -> BoardArrival:
    at_ms = NOON_MS + round(in_s * 1000)
    scheduled_ms = at_ms if state == "timetable" else None
    values = {"key": key or f"{state}|{in_s}", "state": state, "arrival_ms": at_ms, "scheduled_ms": scheduled_ms}
    return BoardArrival(**(values | more))  # type: ignore[arg-type]


def line(*arrivals: BoardArrival, route: str = "10", state: str = "live", **more: object) -> Line:
    values: dict[str, object] = {"key": f"{route}|Шұғыла", "route_id": route, "route": route, "destination": TO}
    return Line(**(values | {"state": state, "arrivals": list(arrivals)} | more))  # type: ignore[arg-type]


def board(*lines: Line, stop: str = STOP) -> StopBoard:
    return StopBoard(stop=stop, code="017", name=NAME, lines=list(lines))
