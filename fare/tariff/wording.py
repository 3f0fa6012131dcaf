"""Say what a ride costs, and why, as a passenger understands it: line by line, in the passenger's language.

Amounts have their tiyn, times are those of the city. Names of categories and payers that the catalogue does not know
are said as the feed names them.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from commons.texts import Catalogue, Language
from fare.model import Bill, Charge, PriceReason, Ride
from fare.tariff.model import Tariff

SIGNS: Final[Mapping[str, str]] = MappingProxyType({"KZT": "₸", "GBP": "£", "EUR": "€", "USD": "$"})
NO_BREAK: Final = "\N{NO-BREAK SPACE}"
PAID_OTHERWISE: Final = frozenset({PriceReason.PASS, PriceReason.DAY_CAP, PriceReason.WEEK_CAP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How to speak to one passenger: language and texts, city's tariff, and the names of its lines by route_id."""

    catalogue: Catalogue
    language: Language
    tariff: Tariff
    route_names: Mapping[str, str]

    def text(self, key: str, **values: str) -> str:
        """Return a text of the catalogue with its values in place."""
        return self.catalogue[self.language][key].format(**values)

    def name(self, kind: str, key: str, otherwise: str = "") -> str:
        """Return what the catalogue calls a category or payer, or else ``otherwise``, or else its id."""
        return self.catalogue[self.language].get(f"tariff.{kind}.{key}", otherwise or key)

    def amount(self, amount_tiyn: int) -> str:
        """Return an amount such as ``7 500,00 ₸``; in English ``7,500.00 ₸``."""
        sign = SIGNS.get(self.tariff.currency, self.tariff.currency)
        whole, part = divmod(abs(amount_tiyn), 100)
        digits = f"{'-' if amount_tiyn < 0 else ''}{whole:,}.{part:02}"
        if self.language != "en":
            digits = digits.replace(",", NO_BREAK).replace(".", ",")
        return f"{digits}{NO_BREAK}{sign}"

    def time(self, at_ms: int) -> str:
        """Return a time of the city as ``08:41``."""
        return dt.datetime.fromtimestamp(at_ms // 1000, self.tariff.zone).strftime("%H:%M")


def explain(charge: Charge, ride: Ride, words: Words) -> str:
    """Return one line of a bill as a sentence.

    Raises:
        ValueError: if ``charge`` is of another ride.
    """
    if charge.ride_key != ride.key:
        raise ValueError(f"charge is of ride {charge.ride_key}, not of {ride.key}")
    category = charge.category or "adult"
    who = words.name("category", category, words.tariff.category_names.get(category, ""))
    parts = [
        words.text(
            "tariff.line",
            time=words.time(ride.tapped_ms),
            route=words.route_names.get(ride.route_id, ride.route_id),
            who=who if charge.count == 1 else words.text("tariff.several", who=who, count=str(charge.count)),
            amount=words.amount(charge.charged_tiyn),
            reason=words.text(
                f"tariff.reason.{charge.reason.value}",
                full=words.amount(charge.full_tiyn),
                cap=words.amount(charge.capped_tiyn),
            ),
        )
    ]
    if charge.until_ms and charge.reason not in PAID_OTHERWISE:
        parts.append(words.text("tariff.until", time=words.time(charge.until_ms)))
    if charge.subsidy_tiyn:
        payer = words.name("payer", charge.paid_by)
        parts.append(words.text("tariff.subsidy", payer=payer, amount=words.amount(charge.subsidy_tiyn)))
    return "; ".join(parts)


def explain_bill(bill: Bill, rides: Iterable[Ride], words: Words) -> tuple[str, ...]:
    """Return the lines of a bill and its total.

    Raises:
        KeyError: if ``rides`` lack one of the bill's.
    """
    by_key = {ride.key: ride for ride in rides}
    lines = (explain(charge, by_key[charge.ride_key], words) for charge in bill.charges)
    return (*lines, words.text("tariff.total", amount=words.amount(bill.total_tiyn)))
