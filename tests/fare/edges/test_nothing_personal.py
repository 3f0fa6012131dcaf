"""Attack 52: a run of the money side leaves no card number and no phone number in database, answers or logs."""

import re
from pathlib import Path

import asyncpg
import pytest

from commons.logs import configure_logs
from tests.fare.api.books_town import books_town
from tests.fare.edges.money import DAY

DIGITS = re.compile(r"(?<![0-9a-f])\d{12,19}(?![0-9a-f])")
PHONE = re.compile(r"(?<![0-9a-f])(?:\+7|8|7)[ (-]*7\d{2}[ )-]*\d{3}[ -]*\d{2}[ -]*\d{2}(?![0-9a-f])")
PAN = "4111111111111111"  # of the card schemes' test numbers
PHONE_NUMBER = "+7 701 234 56 78"


def is_luhn(digits: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0


def card_numbers(text: str) -> list[str]:
    """Return what looks like a card number and is not a moment: 13 digits that begin as our milliseconds do."""
    found = [run for run in DIGITS.findall(text) if is_luhn(run)]
    return [run for run in found if not (len(run) == 13 and run.startswith("1"))]


async def dump(pool: asyncpg.Pool) -> str:
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [await pool.fetch(f'SELECT t::text AS row FROM "{table[0]}" t') for table in tables]  # noqa: S608
    return "\n".join(row["row"] for some in rows for row in some)


def test_the_search_finds_what_it_is_for() -> None:
    assert card_numbers(f"paid by {PAN}, sequence 9") == [PAN]
    assert card_numbers("at 1764000000000") == []
    assert card_numbers("4111111111111112") == []
    assert PHONE.findall(f"from {PHONE_NUMBER} and 87012345678") != []
    assert PHONE.findall("at_ms 1764000000000, 77") == []


async def test_attack_52_no_card_or_phone_number_is_kept_or_written_down(
    postgres: asyncpg.Pool, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    configure_logs("test", level="DEBUG")
    async with books_town(postgres) as town:
        # What somebody pastes into a field of names is not taken for one, and not written down.
        for name in (PAN, PHONE_NUMBER):
            status, said = await town.ask("x", "sign-in", {"name": name, "password": "whatever it is"})
            assert status == 401
            assert name not in str(said)
        answers = [
            await town.as_("aigul", path, sent)
            for path, sent in (
                (f"days/{DAY}/close", {}),
                ("refunds", {"key": "a", "ride_key": "v:1", "why": "two touches"}),
                (f"accounts/wallet:{7:032x}", None),
                (f"accounts/wallet:{PAN}", None),
                (f"rides/{DAY}/k2/fare_transactions.csv", None),
            )
        ]
        assert [status for status, _ in answers] == [200, 200, 200, 404, 200]
        # Nor what somebody types who may not.
        for path in (f"accounts/wallet:{PAN}", f"statements/{DAY}/{PAN}/day/statement.csv"):
            answers.append(await town.as_("depot1", path))
            assert answers[-1][0] == 403
        text = "\n".join(map(str, answers)) + await dump(postgres)
    out, err = capfd.readouterr()
    for place in (text, out, err):
        assert card_numbers(place) == []
        assert PHONE.findall(place) == []
