"""The device's clock, corrected by server and GPS."""

from fare.validator.clock_check import GOOD_FOR_MS, ClockCheck, Source

HOUR_MS = 3_600_000
NOW_MS = 1_789_970_400_000


def test_attack_8_an_hour_wrong_or_never_set_is_corrected_by_one_answer() -> None:
    for wrong_ms in (-HOUR_MS, HOUR_MS, -NOW_MS):
        clock = ClockCheck()
        device_ms = NOW_MS + wrong_ms
        noted = clock.by_server(server_ms=NOW_MS - 100, device_ms=device_ms, round_trip_ms=200, at_ms=0)
        assert noted is not None
        assert (noted.source, device_ms + clock.offset_ms) == (Source.SERVER, NOW_MS)


def test_gps_sets_the_clock_where_there_is_no_network() -> None:
    clock = ClockCheck()
    noted = clock.by_gps(gps_ms=NOW_MS, device_ms=7_000, at_ms=0)
    assert noted is not None
    assert 7_000 + clock.offset_ms == NOW_MS


def test_a_slow_answer_does_not_replace_a_good_one_within_the_hour() -> None:
    clock = ClockCheck()
    clock.by_server(server_ms=NOW_MS, device_ms=NOW_MS, round_trip_ms=40, at_ms=0)
    assert clock.by_server(server_ms=NOW_MS, device_ms=NOW_MS + 4_000, round_trip_ms=9_000, at_ms=1_000) is None
    assert clock.offset_ms == 20
    clock.by_server(server_ms=NOW_MS, device_ms=NOW_MS + 4_000, round_trip_ms=9_000, at_ms=GOOD_FOR_MS)
    assert clock.offset_ms == 500


def test_a_slow_answer_that_agrees_does_not_move_a_clock_that_is_far_off() -> None:
    clock = ClockCheck()
    clock.by_server(server_ms=NOW_MS, device_ms=NOW_MS - HOUR_MS, round_trip_ms=40, at_ms=0)
    assert clock.by_server(server_ms=NOW_MS, device_ms=NOW_MS - HOUR_MS + 3_000, round_trip_ms=9_000, at_ms=1) is None
    assert clock.offset_ms == HOUR_MS + 20


def test_a_clock_that_is_set_by_hand_is_noticed_at_the_next_answer() -> None:
    clock = ClockCheck()
    clock.by_server(server_ms=NOW_MS, device_ms=NOW_MS, round_trip_ms=40, at_ms=0)
    noted = clock.by_server(server_ms=NOW_MS, device_ms=NOW_MS + HOUR_MS, round_trip_ms=400, at_ms=1_000)
    assert noted is not None
    assert clock.offset_ms == -HOUR_MS + 200


def test_small_changes_are_followed_and_not_noted() -> None:
    clock = ClockCheck()
    assert clock.by_server(server_ms=NOW_MS + 100, device_ms=NOW_MS, round_trip_ms=10, at_ms=0) is None
    assert clock.offset_ms == 105
    assert clock.by_server(server_ms=NOW_MS + 450, device_ms=NOW_MS, round_trip_ms=10, at_ms=1) is None
    assert clock.by_server(server_ms=NOW_MS + 600, device_ms=NOW_MS, round_trip_ms=10, at_ms=2) is not None


def test_where_gps_and_server_differ_by_minutes_the_server_counts_and_it_is_said() -> None:
    clock = ClockCheck()
    clock.by_server(server_ms=NOW_MS, device_ms=NOW_MS, round_trip_ms=10, at_ms=0)
    assert clock.by_gps(gps_ms=NOW_MS - 1_024 * 7 * 86_400_000, device_ms=NOW_MS, at_ms=1_000) is None
    assert clock.disputed, "a receiver older than the last GPS week roll-over"
    assert clock.offset_ms == 5
    clock.by_gps(gps_ms=NOW_MS, device_ms=NOW_MS, at_ms=2_000)
    assert not clock.disputed
