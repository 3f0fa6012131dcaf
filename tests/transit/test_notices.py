"""What dispatchers say holds for whom they name and as long as they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transit.codec import SchemaError, decode_alert, decode_cancellation, encode_alert, encode_cancellation
from transit.notices import (
    Alert,
    Cancellation,
    Cancelled,
    Informed,
    Notices,
    Period,
    Severity,
    in_every_language,
)


def alert(alert_id: str = "a", start_ms: int = 1_000, end_ms: int = 2_000, **changes: object) -> Alert:
    values: dict[str, object] = {
        "alert_id": alert_id,
        "header": {"kk": "Жол жабық"},
        "periods": [Period(start_ms=start_ms, end_ms=end_ms)],
        "author": "Айгүл",
        "made_ms": 500,
    }
    return Alert(**(values | changes))  # type: ignore[arg-type]


def of(*pairs: tuple[str, str]) -> list[Informed]:
    return [Informed(stop_id=stop, route_id=route) for stop, route in pairs]


@pytest.mark.parametrize(
    ("informed", "here", "named"),
    [
        (of(), True, set()),
        (of(("S1", "")), True, set()),
        (of(("S2", "")), False, set()),
        (of(("", "10")), True, {"10"}),
        (of(("", "99")), False, set()),
        (of(("S1", "10")), True, {"10"}),
        (of(("S2", "10")), False, set()),
        (of(("S2", "10"), ("S1", "12"), ("", "99")), True, {"12"}),
        (of(("S1", ""), ("", "10")), True, set()),  # for all at this stop, so no route is singled out
    ],
)
def test_an_alert_is_for_the_stops_and_routes_it_names(informed: list[Informed], here: bool, named: set[str]) -> None:
    assert alert(informed=informed).concerns("S1", ["10", "12"]) == (here, named)


def test_it_begins_and_ends_by_itself() -> None:
    notices = Notices(alerts=(alert(),))
    assert [bool(notices.alerts_at(now_ms)) for now_ms in (999, 1_000, 1_999, 2_000)] == [False, True, True, False]
    assert [notices.changes_after(now_ms) for now_ms in (0, 1_000, 2_000)] == [1_000, 2_000, None]


def test_what_fills_the_board_comes_first_then_by_severity_then_the_newest() -> None:
    listed = (
        alert("info", severity=Severity.INFO, made_ms=900),
        alert("old", severity=Severity.WARNING, made_ms=1),
        alert("new", severity=Severity.WARNING, made_ms=2),
        alert("fills", takeover=True),
    )
    assert [one.alert_id for one in Notices(alerts=listed).alerts_at(1_500)] == ["fills", "new", "old", "info"]


def test_an_alert_that_is_ended_is_over_and_says_by_whom() -> None:
    both = alert(periods=[Period(start_ms=1_000, end_ms=2_000), Period(start_ms=5_000, end_ms=6_000)])
    for now_ms in (500, 1_500, 3_000, 5_500):
        over = both.ended(now_ms, "Ержан")
        assert (over.over_ms <= now_ms, over.ended_by) == (True, "Ержан")
        assert all(over.period_at(later_ms) is None for later_ms in (now_ms, 1_999, 5_500) if later_ms >= now_ms)


def test_a_trip_of_a_day_is_all_its_runs_and_a_run_is_one() -> None:
    cancelled = Cancelled(["20260302:T1", "20260302:T2@1800"])
    runs = ("20260302:T1@900", "20260302:T1@1800", "20260302:T2@900", "20260302:T2@1800", "20260303:T1@900", "")
    assert [run in cancelled for run in runs] == [True, True, False, True, False, False]


def test_a_cancellation_ends_some_time_after_the_run() -> None:
    notices = Notices(cancellations=(Cancellation(name="d:T@1", until_ms=2_000, author="x", made_ms=1),))
    assert [bool(notices.cancelled_at(now_ms)) for now_ms in (1, 1_999, 2_000)] == [True, True, False]
    assert notices.changes_after(1) == 2_000


texts = st.dictionaries(st.sampled_from(["kk", "ru", "en", "uz"]), st.sampled_from(["", "Жол жабық", "x"]))


@given(texts)
def test_nobody_reads_an_empty_line(text: dict[str, str]) -> None:
    said = in_every_language(text, ("kk", "ru", "en"))
    assert bool(said) == any(text.get(language) for language in ("kk", "ru", "en"))
    if said:
        assert all(said[language] for language in ("kk", "ru", "en"))
        assert all(said[language] == text[language] for language in said if text.get(language))


def test_bytes_in_redis_are_read_back_and_those_of_another_version_are_refused() -> None:
    assert decode_alert(encode_alert(alert(informed=of(("S1", ""))))) == alert(informed=of(("S1", "")))
    one = Cancellation(name="d:T@1", until_ms=2, author="x", made_ms=1)
    assert decode_cancellation(encode_cancellation(one)) == one
    for data in (b"", b"\x7f" + encode_alert(alert())[1:], encode_cancellation(one)):
        with pytest.raises(SchemaError):
            decode_alert(data)
