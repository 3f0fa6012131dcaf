"""What is rightly signed and still no batch, or so long or deep that it hurts to read, is malformed."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.validator.batches import RECORDS_MAX, Batch, DeviceKey, Receiving, open_batch
from fare.validator.signing import Purpose, SigningKey

KEY = SigningKey.from_bytes(b"d" * 32)
DEVICE = DeviceKey(public=KEY.public)
BATCH = {
    "city": "kzo", "device_id": "v-1", "sent_ms": 1, "first_sequence": 1, "before": b"", "payloads": [b""],
}  # fmt: skip


def opened(body: bytes) -> Batch | Receiving:
    return open_batch(KEY.sign(Purpose.BATCH, body), DEVICE)


def test_the_batch_of_these_tests_is_one() -> None:
    assert isinstance(opened(msgspec.msgpack.encode(BATCH)), Batch)


@pytest.mark.parametrize(
    "body",
    [
        b"\x91" * 100_000,  # arrays in arrays
        b"\xdd\xff\xff\xff\xff",  # an array that says it has four billion elements
        b"\xc6\xff\xff\xff\xff",  # likewise bytes
        msgspec.msgpack.encode(BATCH | {"payloads": []}),
        msgspec.msgpack.encode(BATCH | {"payloads": [b""] * (RECORDS_MAX + 1)}),
        msgspec.msgpack.encode(BATCH | {"first_sequence": -1}),
        msgspec.msgpack.encode(BATCH | {"first_sequence": 2**64 - 1, "sent_ms": "1"}),
        msgspec.msgpack.encode(BATCH) + b"\x00",  # something behind it
    ],
)
def test_attack_9_oversized_nested_and_untrue_bodies_are_malformed(body: bytes) -> None:
    assert opened(body) is Receiving.MALFORMED


def test_attack_9_of_a_key_that_comes_twice_one_value_counts_everywhere() -> None:
    fields = [msgspec.msgpack.encode(part) for pair in BATCH.items() for part in pair]
    again = [msgspec.msgpack.encode("device_id"), msgspec.msgpack.encode("v-2")]
    batch = opened(bytes([0x80 | (len(BATCH) + 1)]) + b"".join([*fields, *again]))
    assert isinstance(batch, Batch)
    assert batch.device_id == "v-2", "and `receive` refuses it: the key is not that device's"


@given(st.binary(max_size=200))
def test_attack_9_whatever_is_signed_is_a_batch_or_malformed(body: bytes) -> None:
    assert opened(body) is Receiving.MALFORMED or isinstance(opened(body), Batch)
