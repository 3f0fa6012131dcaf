"""Texts in short messages: alphabets, parts, and parts that never come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.gateways import sms_segments as segments
from fare.gateways.smpp_pdu import ESM_UDH, Address, ShortMessage, Tag
from fare.gateways.sms_segments import Alphabet, Joiner, Part, SegmentError, Unreadable

GSM, LATIN1 = Alphabet.GSM, Alphabet.LATIN1
KAZAKH = "Әлия, билет қабылданды: №0451, 120 ₸. "
NOBODY = Address(value="")


def as_sent(part: Part) -> ShortMessage:
    return ShortMessage(
        source=NOBODY,
        destination=NOBODY,
        content=part.with_header,
        esm_class=part.esm_class,
        data_coding=part.data_coding,
    )


def with_header(header: bytes, text: bytes = b"x") -> ShortMessage:
    content = bytes((len(header),)) + header + text
    return ShortMessage(source=NOBODY, destination=NOBODY, content=content, esm_class=ESM_UDH)


@pytest.mark.parametrize(
    ("text", "parts", "coding"),
    [
        ("Ticket 0451", 1, segments.DEFAULT),
        ("x" * 160, 1, segments.DEFAULT),
        ("x" * 161, 2, segments.DEFAULT),
        ("x" * 306, 2, segments.DEFAULT),
        ("x" * 307, 3, segments.DEFAULT),
        ("Б" * 70, 1, segments.UCS2),
        ("Б" * 71, 2, segments.UCS2),
        ("Б" * 134, 2, segments.UCS2),
        ("Б" * 135, 3, segments.UCS2),
        ("a@b", 1, segments.UCS2),  # @ is 0x00 in GSM 7 bit and 0x40 in ASCII
        ("5$", 1, segments.UCS2),
    ],
)
def test_a_text_takes_as_few_parts_as_carry_it(text: str, parts: int, coding: int) -> None:
    split = segments.split(text, 1)
    assert (len(split), split[0].data_coding) == (parts, coding)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400), st.data())
def test_parts_in_any_order_and_some_twice_are_the_text(text: str, data: st.DataObject) -> None:
    parts = segments.split(text, 77)
    assert all(len(part.with_header) <= (160 if part.data_coding == segments.DEFAULT else 140) for part in parts)
    assert all(part.content.decode("utf-16-be") for part in parts if part.data_coding == segments.UCS2)
    if len(parts) > segments.PARTS_TAKEN_MAX:
        return
    joiner, joined = Joiner(), []
    for part in data.draw(st.permutations([*parts, *parts[:-1]] if len(parts) > 1 else parts)):
        content = joiner.add("rider", segments.read_part(as_sent(part)), 0)
        joined += [] if content is None else [segments.read_text(content, part.data_coding, GSM)]
    assert joined[:1] == [text]


def test_long_centres_count_with_sixteen_bits_or_by_parameters() -> None:
    sixteen = segments.read_part(with_header(b"\x08\x04\x01\x02\x03\x02"))
    assert (sixteen.reference, sixteen.total, sixteen.number, sixteen.content) == (0x102, 3, 2, b"x")
    by_parameters = ShortMessage(
        source=NOBODY,
        destination=NOBODY,
        content=b"x",
        parameters={Tag.SAR_REFERENCE: b"\x01\x02", Tag.SAR_TOTAL: b"\x03", Tag.SAR_NUMBER: b"\x02"},
    )
    assert segments.read_part(by_parameters) == sixteen


def test_a_header_of_other_elements_is_skipped() -> None:
    part = segments.read_part(with_header(b"\x05\x04\x0b\x84\x23\xf0", b"0451"))  # application ports
    assert (part.total, part.content) == (1, b"0451")


@pytest.mark.parametrize(
    "header",
    [b"\x00\x03\x01\x02\x00", b"\x00\x03\x01\x02\x03", b"\x00\x03\x01\x00\x00", b"\x00", b"\x00\x09\x01"],
    ids=["number 0", "number above total", "no parts", "cut off", "longer than the header"],
)
def test_attack_29_a_malformed_header_is_refused(header: bytes) -> None:
    with pytest.raises(SegmentError) as refused:
        segments.read_part(with_header(header))
    assert refused.value.reason is Unreadable.MALFORMED


def test_attack_29_a_header_longer_than_the_message_is_refused() -> None:
    for content in (b"", b"\x8c\x00"):
        with pytest.raises(SegmentError):
            segments.read_part(ShortMessage(source=NOBODY, destination=NOBODY, content=content, esm_class=ESM_UDH))


def test_attack_29_a_bomb_of_255_parts_is_refused_at_its_first() -> None:
    joiner = Joiner()
    with pytest.raises(SegmentError) as refused:
        joiner.add("bomber", Part(content=b"x" * 134, data_coding=0, reference=1, number=1, total=255), 0)
    assert (refused.value.reason, len(joiner)) == (Unreadable.TOO_MANY_PARTS, 0)


def test_attack_29_parts_without_the_rest_never_fill_the_memory() -> None:
    joiner = Joiner()
    for reference in range(1_000):
        joiner.add("bomber", Part(content=b"x", data_coding=0, reference=reference, number=1, total=2), 0)
    assert len(joiner) == segments.OPEN_PER_SENDER_MAX
    for sender in range(segments.OPEN_MAX + 100):
        joiner.add(f"sender {sender}", Part(content=b"x", data_coding=0, reference=1, number=1, total=2), 0)
    assert len(joiner) == segments.OPEN_MAX


def test_parts_wait_five_minutes_for_the_rest() -> None:
    first, second = segments.split("Б" * 100, 9)
    joiner = Joiner()
    assert joiner.add("rider", first, 0) is None
    assert joiner.forget(segments.WAITS_MS) == 0
    assert joiner.add("rider", second, segments.WAITS_MS + 1) is None
    assert len(joiner) == 1  # the second waits alone; the first is gone


def test_parts_of_two_riders_never_meet() -> None:
    first, second = segments.split("Б" * 100, 9)
    joiner = Joiner()
    assert joiner.add("rider", first, 0) is None
    assert joiner.add("thief", second, 0) is None


@pytest.mark.parametrize(
    ("content", "coding", "default", "text"),
    [
        (b"0451", 0, GSM, "0451"),
        (b"\x00\x02\x1b\x65\x1b\x28", 0, GSM, "@$€{"),
        (b"\x1b\x41", 0, GSM, "A"),  # an escape that nobody defined shows the letter itself
        (b"0451@", 0, LATIN1, "0451@"),
        (b"0451", 1, GSM, "0451"),
        (b"caf\xe9", 3, GSM, "café"),
        ("КАРТА".encode("iso8859-5"), 6, GSM, "КАРТА"),
        ("ҚАРТА 500".encode("utf-16-be"), 8, GSM, "ҚАРТА 500"),
        ("КАЗ".encode("utf-16-be"), 0x18, GSM, "КАЗ"),  # with message class 0: shown at once, not kept
        (b"0451", 0xF1, GSM, "0451"),
    ],
)
def test_a_text_is_read_in_its_alphabet(content: bytes, coding: int, default: Alphabet, text: str) -> None:
    assert segments.read_text(content, coding, default) == text


@pytest.mark.parametrize("coding", [2, 4, 5, 9, 0x0D, 0x14, 0x30, 0x80, 0xC0, 0xF4, 0xF5])
def test_attack_29_octets_and_unknown_codings_are_no_text(coding: int) -> None:
    with pytest.raises(SegmentError) as refused:
        segments.read_text(b"0451", coding, GSM)
    assert refused.value.reason is Unreadable.BINARY


@pytest.mark.parametrize(("content", "coding"), [(b"\x04", 8), (b"\xd8\x00", 8), (b"\xff", 0), (b"\xff", 1)])
def test_attack_29_letters_that_are_none_are_refused(content: bytes, coding: int) -> None:
    with pytest.raises(SegmentError) as refused:
        segments.read_text(content, coding, GSM)
    assert refused.value.reason is Unreadable.MALFORMED


def test_a_ticket_in_kazakh_comes_back_whole() -> None:
    parts = segments.split(KAZAKH * 3, 300)
    assert len(parts) == 2
    assert parts[0].with_header[:6] == b"\x05\x00\x03\x2c\x02\x01"  # 300 in eight bits
    assert b"".join(part.content for part in parts).decode("utf-16-be") == KAZAKH * 3


def test_an_empty_text_or_one_of_a_book_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="empty"):
        segments.split("", 1)
    with pytest.raises(ValueError, match="256 parts"):
        segments.split("Б" * (67 * 255 + 1), 1)
