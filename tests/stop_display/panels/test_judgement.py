"""Dark, stale, wrong, off, ok: what a report and its absence mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stop_display.panels.judgement import DARK_AFTER_S, Judgement, RemarkCode, Standing, judge
from stop_display.panels.model import PanelConfig, PanelError, Remark, Report, checked, hours_of, is_open
from tests.stop_display.panels.fleet import NOON_MS, health, panel, report

NOON_MINUTE = 720
FIGURE = Remark(code=RemarkCode.FIGURE, detail="10 @ alan: 99")


def judged(of: Report | None, *, hours: str = "", minute: int = NOON_MINUTE, up_s: float = 86_400) -> Judgement:
    return judge(
        panel(hours=hours),
        of,
        wall_ms=NOON_MS,
        up_ms=NOON_MS - round(up_s * 1000),
        local_minute=minute,
        version="v1",
    )


def ago(silent_s: float, **changes: object) -> Report:
    return report(NOON_MS - round(silent_s * 1000), **changes)


@pytest.mark.parametrize(
    ("told", "standing", "codes"),
    [
        (ago(30), "ok", []),
        (None, "dark", ["never_heard"]),
        (ago(DARK_AFTER_S + 1), "dark", ["not_heard"]),
        (ago(DARK_AFTER_S - 1), "ok", []),
        (ago(30, of=health(content_age_s=61)), "stale", ["content_old"]),
        (ago(30, of=health(content_age_s=None)), "stale", ["never_content"]),
        (ago(30, differs=[FIGURE]), "ok", []),  # one alone may be a change under way
        (ago(30, differs=[FIGURE], differed_before=True), "wrong", ["figure"]),
        (ago(30, differed_before=True), "ok", []),
        (ago(30, of=health(content_age_s=99), differs=[FIGURE], differed_before=True), "stale", ["content_old"]),
        (ago(999, differs=[FIGURE], differed_before=True), "dark", ["not_heard"]),
        (ago(30, of=health(version="v0")), "ok", ["old_page"]),
        (ago(30, of=health(battery=0.1, charging=False)), "ok", ["battery_low"]),
        (ago(30, of=health(battery=0.1, charging=True)), "ok", []),
        (ago(30, of=health(errors=2, last_error="x is not defined")), "ok", ["script_errors"]),
    ],
)
def test_how_a_panel_is(told: Report | None, standing: str, codes: list[str]) -> None:
    found = judged(told)
    assert (found.standing, [remark.code for remark in found.remarks]) == (standing, codes)


def test_outside_its_hours_nothing_is_missed_but_light_is() -> None:
    assert judged(None, hours="05:30-11:30").standing is Standing.OFF
    assert judged(ago(999), hours="05:30-11:30").standing is Standing.OFF
    black = judged(ago(30, of=health(off=True, content_age_s=None)), hours="05:30-11:30")
    assert (black.standing, black.remarks) == (Standing.OFF, ())
    shining = judged(ago(30), hours="05:30-11:30")
    assert [remark.code for remark in shining.remarks] == ["not_off"]
    assert judged(None, hours="05:30-12:30").standing is Standing.DARK


def test_a_server_that_has_just_started_calls_no_board_dark_that_was_well() -> None:
    assert judged(ago(999), up_s=20).standing is Standing.OK
    assert judged(ago(999), up_s=DARK_AFTER_S + 1).standing is Standing.DARK
    assert judged(ago(999), up_s=20).silent_s == 999


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_hours_hold_from_the_first_minute_to_before_the_last_also_over_midnight(
    opens: int, closes: int, minute: int
) -> None:
    text = f"{opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"
    if opens == closes:
        with pytest.raises(PanelError, match="hours"):
            hours_of(text)
        return
    minutes = (closes - opens) % 1440
    assert is_open(hours_of(text), minute) == ((minute - opens) % 1440 < minutes)


def test_a_panel_without_hours_is_always_on_and_24_00_is_midnight() -> None:
    assert all(is_open(hours_of(""), minute) for minute in range(1440))
    assert hours_of("06:00-24:00") == (360, 1440)
    assert not is_open(hours_of("06:00-24:00"), 0)


@pytest.mark.parametrize(
    ("name", "config", "complaint"),
    [
        ("Kiosk 4", PanelConfig(stops=("a",)), "name"),
        ("", PanelConfig(stops=("a",)), "name"),
        ("k", PanelConfig(stops=()), "stops"),
        ("k", PanelConfig(stops=("a", "b", "c", "d", "e")), "stops"),
        ("k", PanelConfig(stops=("a", "a")), "stops"),
        ("k", PanelConfig(stops=("nowhere",)), "nowhere.*no stop_id"),
        ("k", PanelConfig(stops=("a",), layout="round"), "layout.*round.*columns"),
        ("k", PanelConfig(stops=("a",), language="tr"), "language.*tr"),
        ("k", PanelConfig(stops=("a",), theme="pink"), "theme"),
        ("k", PanelConfig(stops=("a",), volume=101), "volume.*101"),
        ("k", PanelConfig(stops=("a",), hours="5-23"), "hours.*5-23"),
        ("k", PanelConfig(stops=("a",), hours="05:30-24:30"), "hours"),
        ("k", PanelConfig(stops=("a",), note="a\nb"), "note"),
    ],
)
def test_what_a_panel_cannot_be_is_said_by_field_and_value(name: str, config: PanelConfig, complaint: str) -> None:
    with pytest.raises(PanelError, match=complaint):
        checked(name, config, frozenset("abcde"))
