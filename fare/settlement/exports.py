"""Sales and statements as files for others: CSV of our own, and ``fare_transactions`` of TIDES.

Source of the latter: TIDES specification, ``fare_transactions.schema.json``. Amounts are in the currency with two
decimals, times ISO 8601 with the city's offset.
"""

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from fare.model import Charge, MediumId, MediumKind, PriceReason
from fare.settlement.model import Sale, Statement

TIDES_COLUMNS: Final = (
    *("transaction_id", "service_date", "event_timestamp", "amount", "currency_type", "fare_action"),
    *("trip_id_performed", "vehicle_id", "device_id", "stop_id", "num_riders", "fare_media_id"),
    *("rider_category", "fare_product", "fare_capped", "token_id"),
)
TIDES_MEDIA: Final[Mapping[MediumKind, str]] = MappingProxyType(
    {
        MediumKind.CASH: "Cash or coins",
        MediumKind.TRANSPORT_CARD: "Smart card or ticket",
        MediumKind.BANK_CARD: "Bank card",
        MediumKind.PHONE: "Optical scan",
        MediumKind.SMS: "Other type",
    }
)
STATEMENT_COLUMNS: Final = (
    *("carrier_id", "service_date", "medium", "rider_category", "riders", "full", "charged", "subsidy"),
)
FORMULA: Final = frozenset("=+@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH COMMERCIAL AT}")
NUMBER: Final = re.compile(r"-[0-9]+(\.[0-9]+)?")
CAPPED: Final = frozenset({PriceReason.DAY_CAP, PriceReason.WEEK_CAP})


def tides_csv(sales: Iterable[Sale], zone: ZoneInfo, currency: str, token: Callable[[MediumId], str]) -> bytes:
    """Return sales as ``fare_transactions.csv``: a row for each line of a bill.

    ``token`` says how a medium is named to whoever gets the file; what it names alike can be followed through the day.
    """
    return _csv(
        TIDES_COLUMNS,
        (
            _tides_row(sale, place, charge, zone, currency, token)
            for sale in sales
            for place, charge in enumerate(sale.charges, start=1)
        ),
    )


def statements_csv(statements: Iterable[Statement]) -> bytes:
    """Return the lines of statements, and for each its sums as rows without medium."""
    return _csv(STATEMENT_COLUMNS, (row for statement in statements for row in _statement_rows(statement)))


def decimal(amount_tiyn: int) -> str:
    """Return an amount such as ``-90.50``."""
    whole, part = divmod(abs(amount_tiyn), 100)
    return f"{'-' if amount_tiyn < 0 else ''}{whole}.{part:02}"


def _tides_row(
    sale: Sale, place: int, charge: Charge, zone: ZoneInfo, currency: str, token: Callable[[MediumId], str]
) -> Sequence[str | int]:
    ride = sale.ride
    at = dt.datetime.fromtimestamp(ride.tapped_ms / 1_000, zone).isoformat(timespec="milliseconds")
    return (
        f"{ride.key}/{place}",
        sale.service_date.isoformat(),
        at,
        decimal(0 if sale.amnesty_id else charge.charged_tiyn),
        currency,
        "Transfer entrance" if charge.reason is PriceReason.TRANSFER else "Enter",
        *(ride.trip_id, ride.vehicle_id, sale.device_id, ride.stop_id),
        charge.count,
        TIDES_MEDIA[ride.medium_kind],
        charge.category,
        charge.product_id,
        "true" if charge.reason in CAPPED else "false",
        "" if ride.medium_kind is MediumKind.CASH else token(ride.medium_id),
    )


def _statement_rows(statement: Statement) -> Iterable[Sequence[str | int]]:
    head = (statement.carrier_id, statement.service_date.isoformat())
    for line in statement.lines:
        amounts = (decimal(line.full_tiyn), decimal(line.charged_tiyn), decimal(line.subsidy_tiyn))
        yield (*head, line.medium_kind.value, line.category, line.riders, *amounts)
    for name, amount in (
        ("forgiven", statement.forgiven_tiyn),
        ("cash", statement.cash_tiyn),
        ("refunds", statement.refunds_tiyn),
        ("commission", statement.commission_tiyn),
        ("payable", statement.payable_tiyn),
    ):
        yield (*head, "", name, "", "", decimal(amount), "")


def _csv(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    writer.writerow(header)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _plain(cell: str | int) -> str | int:
    """Keep a spreadsheet from taking a text for a formula (OWASP, "CSV Injection"); a number stays one."""
    formula = isinstance(cell, str) and (cell[:1] in FORMULA or (cell[:1] == "-" and not NUMBER.fullmatch(cell)))
    return f"'{cell}" if formula else cell
