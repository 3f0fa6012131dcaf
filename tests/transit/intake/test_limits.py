"""How much a stranger, an address or a device may ask of intake."""

from transit.intake.limits import FailureLimit, ReportLimit


def test_an_address_is_over_its_limit_only_within_a_minute() -> None:
    limit = FailureLimit(per_minute=3)
    assert [limit.failed("10.0.0.1", now_s=float(second)) for second in (0, 1, 2, 3)] == [False, False, False, True]
    assert not limit.failed("10.0.0.2", now_s=3.0), "other addresses are not concerned"
    assert not limit.failed("10.0.0.1", now_s=61.0), "a new minute"


def test_addresses_are_forgotten_before_they_fill_memory() -> None:
    limit = FailureLimit(per_minute=1, addresses_max=2)
    for address in ("a", "b", "c"):
        assert not limit.failed(address, now_s=0.0)
    assert limit.failed("c", now_s=0.0)
    assert not limit.failed("a", now_s=0.0), "the oldest was forgotten"


def test_a_device_may_send_what_it_gathered_and_then_its_rate() -> None:
    limit = ReportLimit(per_s=2.0, burst=100)
    assert limit.take("bus", 100, now_s=0.0) == 0.0
    assert limit.take("bus", 1, now_s=0.0) == 0.5
    assert limit.take("bus", 1, now_s=1.0) == 0.0
    assert limit.take("other", 1, now_s=1.0) == 0.0


def test_reports_turned_away_are_not_counted() -> None:
    limit = ReportLimit(per_s=1.0, burst=10)
    assert limit.take("bus", 15, now_s=0.0) == 5.0
    limit.give_back("bus", 15)
    assert limit.take("bus", 10, now_s=0.0) == 0.0
