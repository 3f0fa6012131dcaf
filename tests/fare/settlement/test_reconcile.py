"""Two books are compared reference by reference, and every tiyn of both is in one category."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare.settlement.reconcile import (
    FileColumns,
    Finding,
    Payment,
    SettlementFileError,
    read_settlement_file,
    reconcile,
)

COLUMNS = FileColumns(reference="RRN", amount="Amount")


def book(text: str) -> list[Payment]:
    return [Payment(reference=line.split()[0], amount_tiyn=int(line.split()[1])) for line in text.strip().splitlines()]


def test_each_reference_is_in_one_named_category() -> None:
    ours = book("r1 9000\nr2 9000\nr4 9000\nr5 9000\nr6 100")
    theirs = book("r1 9000\nr3 9000\nr4 8500\nr5 9000\nr5 9000\nr6 -100")
    assert {one.reference: (one.finding, one.difference_tiyn) for one in reconcile(ours, theirs)} == {
        "r1": (Finding.MATCHED, 0),
        "r2": (Finding.KNOWN_NOT_SETTLED, -9_000),
        "r3": (Finding.SETTLED_UNKNOWN, 9_000),
        "r4": (Finding.AMOUNT_DIFFERS, -500),
        "r5": (Finding.DOUBLED, 9_000),
        "r6": (Finding.AMOUNT_DIFFERS, -200),
    }


def test_what_we_have_twice_is_doubled_also_if_they_have_it_once() -> None:
    (one,) = reconcile(book("r1 9000\nr1 9000"), book("r1 9000"))
    assert (one.finding, one.difference_tiyn) == (Finding.DOUBLED, -9_000)


payments = st.lists(
    st.builds(Payment, reference=st.sampled_from("abcde"), amount_tiyn=st.integers(-10_000, 10_000)), max_size=12
)


@settings(deadline=None)
@given(ours=payments, theirs=payments, data=st.data())
def test_the_sums_of_the_findings_are_those_of_the_books_in_any_order(
    ours: list[Payment], theirs: list[Payment], data: st.DataObject
) -> None:
    found = reconcile(ours, theirs)
    assert sum(one.ours_tiyn for one in found) == sum(one.amount_tiyn for one in ours)
    assert sum(one.theirs_tiyn for one in found) == sum(one.amount_tiyn for one in theirs)
    assert [one.reference for one in found] == sorted({one.reference for one in (*ours, *theirs)})
    assert reconcile(data.draw(st.permutations(ours)), theirs) == found


@settings(deadline=None)
@given(ours=payments)
def test_a_book_agrees_with_itself_but_for_what_it_has_twice(ours: list[Payment]) -> None:
    assert {one.finding for one in reconcile(ours, ours)} <= {Finding.MATCHED, Finding.DOUBLED}


def test_a_settlement_file_is_read_as_its_columns_say() -> None:
    text = "Date;RRN;Amount\n2026-03-02;r1;90.00\n2026-03-02;r2;1 234,5\n2026-03-02;r3;-90\n"
    assert read_settlement_file(text.encode("utf-8-sig"), COLUMNS) == [
        Payment(reference="r1", amount_tiyn=9_000, row=2),
        Payment(reference="r2", amount_tiyn=123_450, row=3),
        Payment(reference="r3", amount_tiyn=-9_000, row=4),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RRN;Sum\nr1;5\n", "line 1: column Amount is missing"),
        (b"RRN;Amount\n;5\n", "line 2: RRN must not be empty"),
        (b"RRN;Amount\nr1;5\nr2;5.123\n", "line 3: Amount '5.123' must be an amount"),
        (b"RRN;Amount\nr1\n", "line 2: Amount None must be an amount"),
        (b"RRN;Amount\nr1;1e9\n", "line 2: Amount '1e9' must be an amount"),
        ("RRN;Amount\nнал;5\n".encode("cp1251"), "the file must be UTF-8"),
        (b"", "line 1: column RRN is missing"),
        (b"RRN;Amount;RRN\nr1;5;r2\n", "line 1: column RRN is there twice"),
        (b'RRN;Amount;Note\nr1;5;"oh\nr2;6;\nr3;7;\n', "unexpected end of data"),
        (b"RRN;Amount\nr\x001;5\n", "line 2: RRN must not be empty, nor longer|line 2: line contains NUL"),
        (b"RRN;Amount\n" + b"r" * 200_000 + b";5\n", "field larger than field limit"),
        (b"RRN;Amount\n" + b"r" * 201 + b";5\n", "line 2: RRN must not be empty, nor longer than 200"),
        ("RRN;Amount\nr1;\N{ARABIC-INDIC DIGIT FIVE}\n".encode(), "line 2: Amount .* must be an amount"),
    ],
)
def test_attack_41_a_file_that_says_no_amounts_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(SettlementFileError, match=message):
        read_settlement_file(content, COLUMNS)


@pytest.mark.parametrize("delimiter", ["", ";;", "\n", "\0"])
def test_a_delimiter_is_one_character(delimiter: str) -> None:
    with pytest.raises(SettlementFileError, match="delimiter must be one character"):
        read_settlement_file(b"a;b\n", FileColumns(reference="a", amount="b", delimiter=delimiter))
