"""``ayaldama fares price`` explains a bill in three languages."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ayaldama.commands.fares import fares
from tests.notation.fares import fare_feed
from tests.notation.feed import files, write_zip


def call(feed: Path, *arguments: str) -> Result:
    given = ["price", "--gtfs", str(feed), "--date", "2026-03-02", *arguments]
    return CliRunner().invoke(fares, given, catch_exceptions=False)


def said(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.output.replace("\N{NO-BREAK SPACE}", " ").splitlines()


def test_a_bill_is_explained_in_three_languages(tmp_path: Path) -> None:
    lines = said(call(fare_feed(tmp_path), "--rides", "08:00 1, 08:20 2", "--profile", "pupil"))
    assert lines[2::3] == ["Барлығы: 42,50 ₸", "Итого: 42,50 ₸", "Total: 42.50 ₸"]
    assert lines[7] == "08:20, line 2: pupil, 0.00 ₸, transfer; transfers are free until 09:00"


def test_medium_stops_riders_pass_and_hours_after_midnight_count(tmp_path: Path) -> None:
    feed = fare_feed(tmp_path)
    english = ("--language", "en")
    assert said(call(feed, "--rides", "08:00 1", "--medium", "cash", *english))[-1] == "Total: 150.00 ₸"
    assert said(call(feed, "--rides", "08:00 V S0>S1", *english))[-1] == "Total: 85.01 ₸"
    assert said(call(feed, "--rides", "08:00 R1 2*adult 1*child", *english))[-1] == "Total: 170.02 ₸"
    assert said(call(feed, "--rides", "08:00 1, 24:30 1", "--pass", "month", *english)) == [
        "08:00, line 1: adult, 0.00 ₸, pass",
        "00:30, line 1: adult, 0.00 ₸, pass",
        "Total: 0.00 ₸",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rides", "8 1"), "must be “HH:MM LINE”"),
        (("--rides", "08:00"), "must be “HH:MM LINE”"),
        (("--rides", ""), "must be “HH:MM LINE”"),
        (("--rides", "48:00 1"), "must be “HH:MM LINE”"),
        (("--rides", "08:00 1 0*adult"), "must be “HH:MM LINE”"),
        (("--rides", "08:00 77"), "no line 77 in the feed"),
        (("--rides", "08:00 V S0>S9"), "no stop S9 in the feed"),
        (("--rides", "08:00 1", "--profile", "king"), "no such category; there are adult"),
        (("--rides", "08:00 1", "--pass", "single"), "product_id single: no such pass"),
    ],
)
def test_what_cannot_be_priced_is_said(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = call(fare_feed(tmp_path), *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_feed_without_fares_is_said(tmp_path: Path) -> None:
    result = call(write_zip(tmp_path / "feed.zip", files()), "--rides", "08:00 R1")
    assert result.exit_code == 1
    assert "fare_products.txt: the file is required for fares" in result.output
