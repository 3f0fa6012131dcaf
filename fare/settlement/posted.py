"""The lines of a bill with the amounts that were posted: reports say what is in the books. Pure.

Nearly always both are the same. They differ where a tariff or a profile was changed and nobody has recomputed yet: then
riders and reasons are those of the bill derived now, and the money is what was posted.
"""

from collections.abc import Iterable, Sequence

import msgspec

from fare.ledger.billing import Amount
from fare.model import Charge, PriceReason, RiderCategory


def as_posted(ride_key: str, charges: Iterable[Charge], amounts: Sequence[Amount]) -> tuple[Charge, ...]:
    """Return the lines of a ride so that those of each category sum to what was posted for it."""
    derived = tuple(charges)
    posted = {one.category: one for one in amounts}
    sums: dict[RiderCategory, Amount] = {}
    for one in derived:
        before = sums.get(one.category, Amount(one.category, 0, 0))
        sums[one.category] = Amount(
            one.category, before.charged_tiyn + one.charged_tiyn, before.subsidy_tiyn + one.subsidy_tiyn
        )
    lines: list[Charge] = []
    given: set[RiderCategory] = set()
    for one in derived:
        nothing = Amount(one.category, 0, 0)
        now = posted.get(one.category, nothing)
        line = one
        if sums[one.category] != now:  # its first line takes all that was posted for the category
            now = nothing if one.category in given else now
            given.add(one.category)
            line = msgspec.structs.replace(one, charged_tiyn=now.charged_tiyn, subsidy_tiyn=now.subsidy_tiyn)
        lines.append(line)
    return (*lines, *(_line(ride_key, one) for one in amounts if one.category not in sums))


def _line(ride_key: str, amount: Amount) -> Charge:
    """Return the line of a category that was posted and is not on the bill now: money, and no riders."""
    return Charge(
        ride_key=ride_key,
        category=amount.category,
        count=0,
        product_id="",
        full_tiyn=amount.charged_tiyn + amount.subsidy_tiyn,
        subsidy_tiyn=amount.subsidy_tiyn,
        charged_tiyn=amount.charged_tiyn,
        reason=PriceReason.FULL,
    )
