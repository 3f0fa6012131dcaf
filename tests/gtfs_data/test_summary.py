"""A feed in figures."""

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ayaldama.commands.gtfs import gtfs
from gtfs_data.summary import summarize
from tests.notation.feed import compiled, files, network, write_zip

BUSY = """
routes
route_id  route_short_name  route_type
R1        1                 3
R2        T                 0
R3        idle              3

trips
route_id  service_id  trip_id  block_id  shape_id
R1        daily       T1       7         line
R1        feast       T2       7         line
R2        daily       T3       -         -

stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       08:00:00      08:00:00        S0       1
T1       -             -               S1       2
T1       08:15:00      08:15:00        S3       3
T2       09:00:00      09:00:00        S0       1
T2       09:15:00      09:15:00        S3       2
T3       08:00:00      08:00:00        S0       1
T3       08:15:00      08:15:00        S1       2

calendar_dates
service_id  date      exception_type
feast       20260321  1

frequencies
trip_id  start_time  end_time  headway_secs
T3       07:00:00    22:00:00  600
"""


def test_a_feed_in_figures(tmp_path: Path) -> None:
    summary = summarize(network(tmp_path, BUSY))
    assert (summary.agency, summary.time_zone, summary.languages) == ("Town", "Asia/Qyzylorda", ("kk",))
    assert summary.routes == {"tram": 1, "bus": 1}
    assert (summary.first_date, summary.last_date) == (dt.date(2026, 3, 1), dt.date(2026, 3, 31))
    assert (summary.patterns, summary.stops, summary.stops_used) == (3, 4, 3)
    assert (summary.trips, summary.stop_times, summary.frequency_trips) == (3, 7, 1)
    assert (summary.services, summary.blocks) == (2, 1)
    assert (summary.busiest_date, summary.busiest_trips) == (dt.date(2026, 3, 21), 2)
    assert summary.line_km == pytest.approx(3 + 3 + 1, abs=0.01)
    assert summary.shaped_share == pytest.approx(2 / 3)
    assert summary.timed_share == pytest.approx(6 / 7)
    assert summary.gap_max_m < 1


def test_a_feed_that_never_runs_has_no_dates(tmp_path: Path) -> None:
    never = """
calendar
service_id  monday  tuesday  wednesday  thursday  friday  saturday  sunday  start_date  end_date
daily       0       0        0          0         0       0         0       20260301    20260331
"""
    summary = summarize(network(tmp_path, never))
    assert (summary.first_date, summary.last_date, summary.busiest_date, summary.busiest_trips) == (None, None, None, 0)


def test_the_command_shows_notices_and_figures(tmp_path: Path) -> None:
    feed = write_zip(tmp_path / "feed.zip", files(BUSY))
    shown = CliRunner().invoke(gtfs, ["check", str(feed)])
    assert shown.exit_code == 0, shown.output
    assert "School" not in shown.output
    for text in ("S2", "no usable trip stops here", "1 bus, 1 tram", "2026-03-21"):
        assert text in shown.output
    answer = json.loads(CliRunner().invoke(gtfs, ["check", str(feed), "--json"]).output)
    assert answer["summary"]["trips"] == 3
    assert answer["report"]["counts"] == {"unused_stop": 1}


def test_the_command_ends_with_one_on_errors_and_has_no_figures_of_an_unusable_feed(tmp_path: Path) -> None:
    feed = write_zip(tmp_path / "feed.zip", files(without=("stops",)))
    shown = CliRunner().invoke(gtfs, ["check", str(feed), "--json"])
    assert shown.exit_code == 1
    assert json.loads(shown.output)["summary"] is None
    assert CliRunner().invoke(gtfs, ["check", str(tmp_path / "nowhere.zip")]).exit_code != 0


def test_a_feed_that_is_over_is_said_if_a_day_is_given(tmp_path: Path) -> None:
    feed = write_zip(tmp_path / "feed.zip", files())
    shown = CliRunner().invoke(gtfs, ["check", str(feed), "--on", "2026-04-01"])
    assert "feed_expired" in CliRunner().invoke(gtfs, ["check", str(feed), "--on", "2026-04-01", "--json"]).output
    assert "2026-03-31" in shown.output
    assert shown.exit_code == 0
    assert compiled(tmp_path).report.notices == ()
