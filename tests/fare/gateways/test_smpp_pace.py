"""How fast to send, and how long to wait before binding again."""

import pytest

from fare.gateways.smpp_pace import REBIND_MAX_S, SLOWEST_PER_S, THROTTLED_PAUSE_S, Pace, rebind_pause_s


def test_messages_keep_the_pace_that_was_agreed() -> None:
    pace = Pace(10)
    assert [round(pace.wait_s(0), 3) for _ in range(4)] == [0, 0.1, 0.2, 0.3]
    assert pace.wait_s(5) == 0  # a pause is no credit for a burst
    assert pace.wait_s(5) == pytest.approx(0.1)


def test_attack_33_a_centre_that_throttles_is_asked_half_as_often() -> None:
    pace = Pace(20)
    pace.throttled(100)
    assert pace.per_s == 10
    assert pace.wait_s(100) == THROTTLED_PAUSE_S
    for _ in range(50):
        pace.throttled(100)
    assert pace.per_s == SLOWEST_PER_S  # never none: the centre is asked whether it can again


def test_the_pace_comes_back_slowly_and_stays_below_what_was_agreed() -> None:
    pace = Pace(20)
    pace.throttled(0)
    for _ in range(10):
        pace.succeeded()
    assert 10 < pace.per_s < 12
    for _ in range(1_000):
        pace.succeeded()
    assert pace.per_s == 20


def test_attack_33_binds_wait_longer_each_time_and_never_in_step() -> None:
    assert [rebind_pause_s(failures, 1) for failures in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert rebind_pause_s(50, 1) == REBIND_MAX_S
    assert rebind_pause_s(50, 0) == REBIND_MAX_S / 2
    assert rebind_pause_s(3, 0.2) != rebind_pause_s(3, 0.7)


def test_a_pace_of_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Pace(0)
