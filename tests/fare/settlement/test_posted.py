"""The lines of a bill say what was posted, whatever is derived now."""

from hypothesis import given
from hypothesis import strategies as st

from fare.ledger.billing import Amount
from fare.model import Charge, PriceReason, RiderCategory
from fare.settlement.posted import as_posted

CATEGORIES = [RiderCategory(name) for name in ("adult", "pupil", "child")]
tiyn = st.integers(0, 20_000)


@st.composite
def charges(draw: st.DrawFn) -> Charge:
    charged_tiyn, subsidy_tiyn = draw(tiyn), draw(tiyn)
    return Charge(
        ride_key="v:1",
        category=draw(st.sampled_from(CATEGORIES)),
        count=draw(st.integers(1, 3)),
        product_id="single",
        full_tiyn=charged_tiyn + subsidy_tiyn,
        subsidy_tiyn=subsidy_tiyn,
        charged_tiyn=charged_tiyn,
        reason=draw(st.sampled_from(list(PriceReason))),
    )


amounts = st.lists(
    st.builds(Amount, st.sampled_from(CATEGORIES), tiyn, tiyn), max_size=3, unique_by=lambda one: one.category
)


def sums(lines: tuple[Charge, ...]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for line in lines:
        charged_tiyn, subsidy_tiyn = found.get(line.category, (0, 0))
        found[line.category] = charged_tiyn + line.charged_tiyn, subsidy_tiyn + line.subsidy_tiyn
    return {category: both for category, both in found.items() if any(both)}


@given(st.lists(charges(), max_size=5), amounts)
def test_lines_sum_to_what_was_posted_and_riders_stay(derived: list[Charge], posted: list[Amount]) -> None:
    lines = as_posted("v:1", derived, posted)
    assert sums(lines) == {
        one.category: (one.charged_tiyn, one.subsidy_tiyn) for one in posted if one.charged_tiyn or one.subsidy_tiyn
    }
    assert [(line.category, line.count, line.reason) for line in lines][: len(derived)] == [
        (one.category, one.count, one.reason) for one in derived
    ]
    assert sum(line.count for line in lines) == sum(one.count for one in derived)


@given(st.lists(charges(), max_size=5))
def test_a_bill_that_was_posted_as_it_is_stays_as_it_is(derived: list[Charge]) -> None:
    posted = [Amount(RiderCategory(category), *both) for category, both in sums(tuple(derived)).items()]
    assert as_posted("v:1", derived, posted) == tuple(derived)
