"""``ayaldama evaluate`` from end to end on a small town: the table, the JSON, the page, and what a mistake says."""

import html.parser
import json
import sys
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from ayaldama.cli import main
from ayaldama.report.plots import Plot, Series, drawn
from tests.notation.feed import files, write_zip
from tests.notation.town import at, drive
from transit.accuracy.evaluation import Evaluation

EAST = [(0.0, 0.0), (3000.0, 0.0)]
VOID = {"meta", "path", "circle", "polyline"}


class Page(html.parser.HTMLParser):
    """Fails where an element is not closed in order; keeps addresses and headings of tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.count: dict[str, int] = {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a feed and a morning of two buses, the working folder from now on."""
    monkeypatch.chdir(tmp_path)
    write_zip(tmp_path / "gtfs.zip", files())
    day = [*drive("a", EAST, at("08:01"), trip="T1", speed_mps=3.0), *drive("b", EAST, at("08:30"), speed_mps=3.0)]
    pd.DataFrame(
        {
            "event_timestamp": [pd.Timestamp(report.fix_ms, unit="ms", tz="UTC").isoformat() for report in day],
            "vehicle_id": [report.vehicle_id for report in day],
            "latitude": [report.lat for report in day],
            "longitude": [report.lon for report in day],
            "trip_id_performed": [report.trip_id for report in day],
        }
    ).to_csv(tmp_path / "day.csv", index=False)
    theirs = {"made_at": at("08:05") // 1000, "vehicle_id": "a", "stop_id": "S3", "arrival": at("08:18") // 1000}
    pd.DataFrame([theirs]).to_csv(tmp_path / "theirs.csv", index=False)
    return tmp_path


def evaluate(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ayaldama", "evaluate", "--gtfs", "gtfs.zip", "--avl", "day.csv", *options])
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0


def test_a_recording_is_judged_and_reported(
    city: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = evaluate(monkeypatch, "--compare", "theirs=theirs.csv", "--json", "f.json", "--html", "f.html")
    said = capsys.readouterr()
    assert status == 0, said.err
    found = msgspec.json.decode((city / "f.json").read_bytes(), type=Evaluation)
    names = ["ayaldama", "timetable", "timetable + delay", "medians", "medians + recent", "theirs"]
    assert [system.name for system in found.systems] == names
    assert all(name in said.out for name in names)
    assert (found.test_days, found.passings, found.passings_from) == (["2026-03-02"], 6, "recording")
    theirs = found.systems[-1]
    assert theirs.outcomes["matched"] == theirs.mbta["12-30"].n == 1
    assert theirs.all.bias_s == pytest.approx(at("08:01") / 1000 + 1000 - at("08:18") / 1000, abs=5)

    text = (city / "f.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.addresses == []  # opens without a network
    assert page.count["details"] >= page.count["figure"] >= 5  # a table beside each plot
    assert "prefers-color-scheme:dark" in text


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--test", "2026-03-03"), 1, "--test: 2026-03-03 must be a day of the recording"),
        (("--test", "tomorrow"), 2, "'tomorrow' must be YYYY-MM-DD"),
        (("--test", "2026-03-03..2026-03-01"), 2, "must not end before it begins"),
        (("--compare", "theirs"), 2, "must be NAME=FILE"),
        (("--compare", "timetable=theirs.csv"), 2, "must be another name"),
        (("--truth", "theirs.csv"), 1, "theirs.csv: column service_date is missing"),
        (("--compare", "theirs=day.csv"), 1, "day.csv: column made_at is missing"),
    ],
)
@pytest.mark.usefixtures("city")
def test_a_mistake_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    assert evaluate(monkeypatch, *options) == status
    assert said in capsys.readouterr().err


def test_a_plot_breaks_its_line_where_a_value_is_missing_and_says_where_the_values_are() -> None:
    series = Series(name="<ours>", values=[1.0, None, 3.0, 4.0], style=0)
    svg = drawn(Plot(title="Error & more", across="hour", up="seconds", marks=list("abcd"), series=[series]))
    Page(svg)
    assert svg.count("<circle") == 3
    assert svg.count("M") - svg.count('class="grid" d="M') == 2  # the pen is lifted once
    assert "Error &amp; more; values in the table" in svg


def test_json_is_readable_by_others(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluate(monkeypatch, "--json", "f.json") == 0
    found = json.loads((city / "f.json").read_text())
    assert set(found["systems"][0]["mbta"]) == {"0-3", "3-6", "6-12", "12-30"}
