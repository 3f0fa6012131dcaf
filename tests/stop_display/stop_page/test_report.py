"""What a report of somebody at a stop may be, and what is said where it is not."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stop_display.stop_page.report import ROWS_MAX, TEXT_MAX, ProblemReport, ReportError, Trouble, read_report

KEY = "0123456789abcdef0123456789abcdef"
GOOD: dict[str, object] = {"key": KEY, "trouble": "bus_missing", "language": "kk", "route": "10", "text": "Күттім"}
ROW = {"route": "10", "destination": "Вокзал", "state": "live", "said": "3 мин", "age_s": 12}
SHOWN = {"at_ms": 1_790_000_000_000, "quality": "live", "silent_s": 2, "rows": [ROW]}


def read(**changes: object) -> ProblemReport:
    return read_report(json.dumps(GOOD | changes).encode())


def test_a_report_is_read_with_what_the_page_showed() -> None:
    report = read(shown=SHOWN)
    assert report.trouble is Trouble.BUS_MISSING
    assert report.shown is not None
    assert report.shown.rows[0].age_s == 12


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"trouble": "boring"}, "trouble", "boring"),
        ({"key": "short"}, "key", "short"),
        ({"language": "de"}, "language", "de"),
        ({"text": "x" * (TEXT_MAX + 1)}, "text", "x" * 80),
        ({"text": 7}, "text", "7"),
        ({"phone": "+7701"}, "phone", "+7701"),
        ({"shown": SHOWN | {"rows": [ROW, ROW | {"said": "y" * 161}]}}, "shown.rows[1].said", "y" * 80),
        (
            {"shown": SHOWN | {"rows": [ROW] * (ROWS_MAX + 1)}},
            "shown.rows",
            json.dumps([ROW] * 9, separators=(",", ":"), ensure_ascii=False)[:80],
        ),
        ({"shown": SHOWN | {"at_ms": -1}}, "shown.at_ms", "-1"),
        ({"trouble": "other", "text": " \u200b\n"}, "text", " \u200b\n"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], field: str, value: str) -> None:
    with pytest.raises(ReportError) as refused:
        read(**changes)
    assert (refused.value.field, refused.value.value) == (field, value)
    assert refused.value.rule


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(ReportError) as refused:
        read_report(json.dumps({"key": KEY, "language": "ru"}).encode())
    assert refused.value.field == "trouble"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff\xfe", b'"report"', b'{"key": ' + b"[" * 20_000, b"[" * 20_000]
)
def test_what_is_no_report_at_all_is_refused(body: bytes) -> None:
    with pytest.raises(ReportError):
        read_report(body)


def test_what_cannot_be_seen_is_taken_out_of_the_text() -> None:
    assert read(text=" Табло\x00 \u202eқараңғы\u200b\nкеше\t ").text == "Табло қараңғы\nкеше"


def test_nor_is_it_kept_of_what_the_page_showed_because_that_is_printed_on_terminals() -> None:
    hostile = "\x1b]0;x\x07\x1b[2J10"
    row = {"route": hostile, "destination": hostile, "state": hostile, "said": hostile}
    shown = read(shown={"at_ms": 1, "quality": hostile, "silent_s": 0, "rows": [row]}).shown
    assert shown is not None
    kept = shown.rows[0]
    assert {kept.route, kept.destination, kept.state, kept.said, shown.quality} == {"]0;x[2J10"}


texts = st.text("aқ0 \n\x00\x7f\u200b\u202e🚌", max_size=20)
values = st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=2)
bodies = st.fixed_dictionaries(
    {}, optional={name: values | st.just(value) for name, value in (GOOD | {"x": 1}).items()}
)


@given(st.binary(max_size=100) | bodies.map(msgspec.json.encode))
def test_whatever_comes_is_a_report_or_a_refusal_that_names_a_field(body: bytes) -> None:
    found = read_or_refused(body)
    if isinstance(found, ReportError):
        assert found.field
        assert found.rule
        assert len(found.value) <= 80
    else:
        assert "\x00" not in found.text + found.route
        assert len(found.text) <= TEXT_MAX


def read_or_refused(body: bytes) -> ProblemReport | ReportError:
    try:
        return read_report(body)
    except ReportError as error:
        return error
