"""Others read our files: TIDES, CSV, paper."""

import csv
import io
from pathlib import Path

import msgspec
import pypdf
import pytest

from commons.texts import LANGUAGES, Language, load_catalogue
from fare.model import MediumKind
from fare.settlement.closing import Part
from fare.settlement.exports import TIDES_COLUMNS, decimal, statements_csv, tides_csv
from fare.settlement.model import Sale
from fare.settlement.refunds import AmnestyWindow, under_amnesty
from fare.settlement.statement_pdf import font_files, statement_pdf
from fare.settlement.statements import statements
from fare.tariff.model import Tariff
from fare.tariff.wording import Words
from tests.notation.sales import day_of_sales

FONT = Path(__file__).parents[3] / "vendor" / "node_modules" / "@fontsource" / "golos-text"
# Of fare_transactions.schema.json of TIDES: field → what it allows, None for any text.
TIDES_REQUIRED = ("transaction_id", "service_date", "event_timestamp", "amount", "fare_action")
TIDES_FIELDS = {
    *("transaction_id", "service_date", "event_timestamp", "amount", "currency_type", "fare_action"),
    *("trip_id_performed", "pattern_id", "stop_sequence", "vehicle_id", "device_id", "fare_id", "stop_id"),
    *("num_riders", "fare_media_id", "rider_category", "fare_product", "fare_period", "fare_capped", "token_id"),
    "balance",
}
TIDES_ACTIONS = {
    *("Unknown action type", "Purchase", "Enter", "Exit", "Transfer entrance", "Transfer exit", "Add", "Activate"),
    *("Adjust", "Other"),
}
TIDES_MEDIA = {
    *("Cash or coins", "Smart card or ticket", "Magnetic-stripe card or ticket", "Bank card", "Mobile NFC"),
    *("Optical scan", "Other type"),
    "Button pressed by driver or operator to indicate a boarding or alighting passenger.",
}


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def tides(sales: tuple[Sale, ...], of: Tariff) -> list[dict[str, str]]:
    return rows(tides_csv(sales, of.zone, of.currency, lambda medium: f"token-{medium}"))


def test_a_transaction_has_the_fields_of_tides_and_nothing_else(town: Tariff, sales: tuple[Sale, ...]) -> None:
    assert set(TIDES_COLUMNS) <= TIDES_FIELDS
    told = tides(sales, town)
    assert len(told) == 8  # the family has a line for adults and one for the child
    assert len({row["transaction_id"] for row in told}) == 8
    for row in told:
        assert all(row[field] for field in TIDES_REQUIRED)
        assert row["fare_action"] in TIDES_ACTIONS
        assert row["fare_media_id"] in TIDES_MEDIA
        assert row["fare_capped"] in {"true", "false"}
    assert told[0] == {
        "transaction_id": "v:1/1",
        "service_date": "2026-03-02",
        "event_timestamp": "2026-03-02T08:00:00.000+05:00",
        "amount": "85.01",
        "currency_type": "KZT",
        "fare_action": "Enter",
        "trip_id_performed": "",
        "vehicle_id": "bus1",
        "device_id": "v",
        "stop_id": "S0",
        "num_riders": "1",
        "fare_media_id": "Smart card or ticket",
        "rider_category": "adult",
        "fare_product": "single",
        "fare_capped": "false",
        "token_id": "token-c1",
    }
    assert told[1]["fare_action"] == "Transfer entrance"
    assert [row["token_id"] for row in told if row["fare_media_id"] == "Cash or coins"] == [""]
    assert told[-1]["service_date"] == "2026-03-02"  # at three in the night


def test_a_capped_ride_says_so_and_one_under_an_amnesty_costs_nothing(town: Tariff) -> None:
    text = "\n".join(f"{hour:02}:00 | card c1 | R1 | bus1 | m | S0 |" for hour in (6, 8, 10, 12, 14))
    sales = day_of_sales(town, text)
    assert [row["fare_capped"] for row in tides(sales, town)] == [*(["false"] * 3), "true", "true"]
    forgiven = under_amnesty(sales, [AmnestyWindow(amnesty_id="a", from_ms=0, until_ms=2**53)])
    assert {row["amount"] for row in tides(forgiven, town)} == {"0.00"}


def test_a_statement_as_csv_has_its_lines_and_its_sums(sales: tuple[Sale, ...]) -> None:
    made = statements(sales, [], {MediumKind.TRANSPORT_CARD: 150})
    told = [row for row in rows(statements_csv(made)) if row["carrier_id"] == "private"]
    assert [(row["medium"], row["rider_category"], row["riders"], row["charged"]) for row in told] == [
        ("cash", "adult", "1", "150.00"),
        ("transport_card", "adult", "3", "255.03"),
        ("transport_card", "pupil", "1", "42.50"),
        ("", "forgiven", "", "0.00"),
        ("", "cash", "", "150.00"),
        ("", "refunds", "", "0.00"),
        ("", "commission", "", "4.46"),
        ("", "payable", "", "335.58"),
    ]


def test_a_text_that_looks_like_a_formula_stays_a_text(town: Tariff) -> None:
    sales = day_of_sales(town, "08:00 | card c1 | R1 | =1+1 | m | @S |")
    (row,) = tides(sales, town)
    assert (row["vehicle_id"], row["stop_id"]) == ("'=1+1", "'@S")


@pytest.mark.parametrize(
    "name", ["-2+3", "-1|cmd", "-", "+1", "\r=1+1", "\n=1+1", "\t1", "\N{FULLWIDTH EQUALS SIGN}1+1", "-1-1"]
)
def test_whatever_a_spreadsheet_takes_for_a_formula_stays_a_text(town: Tariff, name: str) -> None:
    (sale,) = day_of_sales(town, "08:00 | card c1 | R1 | bus1 | m | S |")
    odd = msgspec.structs.replace(sale, ride=msgspec.structs.replace(sale.ride, vehicle_id=name))
    assert [row["vehicle_id"] for row in tides((odd,), town)] == [f"'{name}"]


def test_an_amount_below_nothing_is_a_number_to_a_spreadsheet(sales: tuple[Sale, ...]) -> None:
    (made, *_) = statements(sales, [], {})
    owing = msgspec.structs.replace(made, refunds_tiyn=10**9)
    told = {row["rider_category"]: row["charged"] for row in rows(statements_csv([owing]))}
    assert told["payable"].startswith("-")


@pytest.mark.parametrize(("amount_tiyn", "text"), [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (123_456, "1234.56")])
def test_amounts_have_two_decimals(amount_tiyn: int, text: str) -> None:
    assert decimal(amount_tiyn) == text


@pytest.mark.skipif(not FONT.is_dir(), reason="make vendor fetches the font of our pages")
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_statement_on_paper_can_be_read_in_each_language(
    town: Tariff, sales: tuple[Sale, ...], language: Language
) -> None:
    words = Words(catalogue=load_catalogue("fare"), language=language, tariff=town, route_names={})
    made = statements(sales, [], {MediumKind.TRANSPORT_CARD: 150})[1]
    content = statement_pdf(made, "«Жол» Қызылорда ӘҒҚҢӨҰҮҺІ әғқңөұүһі", words, font_files(FONT))
    assert content == statement_pdf(made, "«Жол» Қызылорда ӘҒҚҢӨҰҮҺІ әғқңөұүһі", words, font_files(FONT))
    text = " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages).split())
    assert "«Жол» Қызылорда ӘҒҚҢӨҰҮҺІ әғқңөұүһі (private)" in text
    assert words.text("statement.title") in text
    assert words.text("statement.payable") in text
    assert words.amount(made.payable_tiyn).replace("\N{NO-BREAK SPACE}", " ") in text
    assert words.text("statement.medium.transport_card") in text
    assert "02.03.2026" in text
    assert words.text("statement.late") not in text
    late = statement_pdf(made, "«Жол»", words, font_files(FONT), part=Part.LATE)
    first = pypdf.PdfReader(io.BytesIO(late)).pages[0].extract_text()
    assert words.text("statement.late") in " ".join(first.split())
