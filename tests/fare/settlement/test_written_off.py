"""What stands of debts that were written off: of the latest rides before, and never what was paid."""

import pytest

from fare.model import MediumId
from fare.settlement.written_off import GivenBack, History, Priced, WrittenOff, of_rides_tiyn, owed_again

MEDIUM = MediumId("0" * 32)


def history(prices: dict[str, tuple[int, int]], *acts: tuple[str, int], stands_tiyn: int = 0) -> History:
    """Return a history: prices as (hour, tiyn) by ride, then ``(ride, tiyn)`` given back or ``("-", tiyn)`` given up.

    All that was given up was of rides, at hour 12.
    """
    return History(
        prices={key: Priced(tapped_ms=hour, priced_tiyn=tiyn) for key, (hour, tiyn) in prices.items()},
        given_back=tuple(
            GivenBack(number=number, ride_key=ride, amount_tiyn=tiyn)
            for number, (ride, tiyn) in enumerate(acts)
            if ride != "-"
        ),
        written_off=tuple(
            WrittenOff(number=number, at_ms=12, amount_tiyn=tiyn, of_rides_tiyn=tiyn)
            for number, (ride, tiyn) in enumerate(acts)
            if ride == "-"
        ),
        stands_number=1,
        stands_tiyn=stands_tiyn,
    )


TWO = {"a": (8, 100), "b": (10, 100)}


@pytest.mark.parametrize(
    ("prices", "acts", "stands_tiyn"),
    [
        (TWO, [("-", 150)], 150),
        (TWO, [("-", 100), ("a", 100)], 100),  # the older ride was paid
        (TWO, [("-", 100), ("b", 100)], 0),
        (TWO, [("-", 60), ("b", 50)], 10),  # what was not paid goes first
        (TWO, [("-", 60), ("b", 60)], 0),
        (TWO, [("b", 100), ("-", 100), ("a", 40)], 60),  # what was given back before is nobody's debt
        (TWO, [("-", 60), ("b", 50), ("-", 20), ("b", 50)], 0),
        ({"a": (8, 100), "b": (10, 0)}, [("-", 150)], 100),  # a late tap took its fare over
        ({"a": (8, 100), "c": (13, 100)}, [("-", 150)], 100),  # a ride after it is none of it
        ({}, [("-", 150)], 0),
    ],
)
def test_it_is_of_the_latest_rides_that_nobody_paid(
    prices: dict[str, tuple[int, int]], acts: list[tuple[str, int]], stands_tiyn: int
) -> None:
    found = owed_again(MEDIUM, history(prices, *acts, stands_tiyn=1_000), at_ms=20)
    assert found is not None
    assert (found.stands_tiyn, found.taken_tiyn, found.number) == (stands_tiyn, 1_000 - stands_tiyn, 2)
    assert owed_again(MEDIUM, history(prices, *acts, stands_tiyn=stands_tiyn), at_ms=20) is None


def test_what_is_of_no_ride_stands_for_ever() -> None:
    assert of_rides_tiyn(history(TWO), 250, at_ms=12) == 200
    assert of_rides_tiyn(history(TWO, ("-", 150)), 100, at_ms=12) == 50
    assert of_rides_tiyn(history(TWO), 250, at_ms=9) == 100
    made = WrittenOff(number=1, at_ms=12, amount_tiyn=250, of_rides_tiyn=200)
    past = History(prices={}, given_back=(), written_off=(made,), stands_number=1, stands_tiyn=250)
    found = owed_again(MEDIUM, past, at_ms=20)
    assert found is not None
    assert found.stands_tiyn == 50
