"""SMPP on the wire: what we write is what others read, and bytes that are no PDU end the line."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.gateways import smpp_pdu
from fare.gateways.smpp_pdu import Address, Bind, Command, Frames, Pdu, PduError, ShortMessage, Status, Tag

MESSAGE = ShortMessage(
    source=Address(value="77011234567", ton=1, npi=1),
    destination=Address(value="2505", ton=3),
    content="Билет".encode("utf-16-be"),
    data_coding=8,
    parameters={Tag.USER_MESSAGE_REFERENCE: b"\0\7"},
)


def test_a_message_is_read_as_it_was_written() -> None:
    (pdu,) = Frames().feed(smpp_pdu.message_pdu(Command.DELIVER_SM, MESSAGE, 5))
    assert (pdu.command, pdu.sequence, pdu.is_answer) == (Command.DELIVER_SM, 5, False)
    assert smpp_pdu.read_message(pdu) == MESSAGE


def test_a_long_text_may_come_as_message_payload() -> None:
    long = ShortMessage(
        source=MESSAGE.source, destination=MESSAGE.destination, content=b"", parameters={Tag.MESSAGE_PAYLOAD: b"0451"}
    )
    (pdu,) = Frames().feed(smpp_pdu.message_pdu(Command.DELIVER_SM, long, 5))
    assert smpp_pdu.read_message(pdu).content == b"0451"


@given(st.lists(st.binary(max_size=40), max_size=5), st.data())
def test_pdus_are_the_same_wherever_the_line_cuts_them(bodies: list[bytes], data: st.DataObject) -> None:
    sent = [Pdu(command=Command.DELIVER_SM, sequence=number, body=body) for number, body in enumerate(bodies)]
    wire = b"".join(map(smpp_pdu.encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    frames, read = Frames(), []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        read += frames.feed(wire[start:end])
    assert read == sent


@pytest.mark.parametrize("length", [0, 15, smpp_pdu.PDU_MAX + 1, 0xFFFFFFFF])
def test_a_length_that_no_pdu_has_ends_the_line(length: int) -> None:
    with pytest.raises(PduError, match="command_length") as refused:
        Frames().feed(struct.pack(">IIII", length, Command.DELIVER_SM, 0, 9))
    assert (refused.value.status, refused.value.sequence) == (Status.INVALID_COMMAND_LENGTH, 9)


@given(st.binary(max_size=80))
def test_any_body_is_a_message_or_refused(body: bytes) -> None:
    with contextlib.suppress(PduError):
        message = smpp_pdu.read_message(Pdu(command=Command.DELIVER_SM, sequence=3, body=body))
        assert len(message.content) <= len(body)


@pytest.mark.parametrize("body", [b"", b"abcd", b"\0" * 16, b"\0" * 16 + b"\xff"])
def test_a_body_that_is_cut_off_is_refused_by_its_number(body: bytes) -> None:
    with pytest.raises(PduError) as refused:
        smpp_pdu.read_message(Pdu(command=Command.DELIVER_SM, sequence=3, body=body))
    assert (refused.value.sequence, refused.value.status) == (3, Status.INVALID_MESSAGE_LENGTH)


def test_a_bind_says_who_wants_in_but_never_shows_its_password() -> None:
    bind = Bind(system_id="ayaldama", password="s3cret", system_type="BUS", address_range="2505")
    assert smpp_pdu.read_bind(smpp_pdu.bind_body(bind)) == bind
    assert "s3cret" not in repr(bind)


@pytest.mark.parametrize(
    ("bind", "named"),
    [
        (Bind(system_id="a" * 16, password="x"), "system_id"),
        (Bind(system_id="a", password="x", system_type="y" * 13), "system_type"),
        (Bind(system_id="а", password="x"), "ASCII"),  # a Cyrillic а
        (Bind(system_id="a\0b", password="x"), "NUL"),
    ],
)
def test_a_bind_that_has_no_place_on_the_wire_is_refused_by_name(bind: Bind, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        smpp_pdu.bind_body(bind)


def test_a_string_without_end_is_refused() -> None:
    with pytest.raises(PduError, match="does not end"):
        smpp_pdu.read_bind(b"a" * 200)
