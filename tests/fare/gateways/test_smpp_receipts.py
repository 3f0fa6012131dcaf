"""Delivery receipts as centres write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.gateways.smpp_pdu import Address, ShortMessage, Tag
from fare.gateways.smpp_receipts import MessageState, Receipt, read_receipt

NOBODY = Address(value="")
SPECIFIED = b"id:0123456789 sub:001 dlvrd:001 submit date:2611261100 done date:2611261101 stat:%s err:000 text:Bilet"


def receipt(content: bytes = b"", parameters: dict[int, bytes] | None = None) -> ShortMessage:
    return ShortMessage(source=NOBODY, destination=NOBODY, content=content, esm_class=4, parameters=parameters or {})


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (b"DELIVRD", MessageState.DELIVERED),
        (b"EXPIRED", MessageState.EXPIRED),
        (b"DELETED", MessageState.DELETED),
        (b"UNDELIV", MessageState.UNDELIVERABLE),
        (b"ACCEPTD", MessageState.ACCEPTED),
        (b"UNKNOWN", MessageState.UNKNOWN),
        (b"REJECTD", MessageState.REJECTED),
        (b"delivrd", MessageState.DELIVERED),
        (b"UNDELIVERABLE", MessageState.UNDELIVERABLE),
        (b"PARKED", MessageState.UNKNOWN),
    ],
)
def test_appendix_b_is_read(word: bytes, state: MessageState) -> None:
    read = read_receipt(receipt(SPECIFIED % word))
    assert read == Receipt(message_id="0123456789", state=state)


def test_parameters_count_before_the_text() -> None:
    parameters = {Tag.RECEIPTED_MESSAGE_ID: b"m7\0", Tag.MESSAGE_STATE: b"\x05"}
    assert read_receipt(receipt(SPECIFIED % b"DELIVRD", parameters)) == Receipt(
        message_id="m7", state=MessageState.UNDELIVERABLE
    )


@pytest.mark.parametrize(
    "message",
    [
        receipt(b""),
        receipt(b"stat:DELIVRD"),
        receipt(b"id:7"),
        receipt(b"id:" + b"7" * 65 + b" stat:DELIVRD", {Tag.RECEIPTED_MESSAGE_ID: b"7" * 65}),
        receipt(b"", {Tag.RECEIPTED_MESSAGE_ID: b"m7", Tag.MESSAGE_STATE: b"\x09"}),
        receipt(b"", {Tag.RECEIPTED_MESSAGE_ID: b"\xff", Tag.MESSAGE_STATE: b"\x02"}),
    ],
)
def test_what_names_no_message_or_no_state_is_no_receipt(message: ShortMessage) -> None:
    assert read_receipt(message) is None


@given(st.binary(max_size=200))
def test_any_text_is_a_receipt_or_none(content: bytes) -> None:
    read = read_receipt(receipt(content))
    assert read is None or len(read.message_id) <= 64
