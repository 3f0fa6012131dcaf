"""Signatures of devices and of the city."""

import cryptography_vectors
import msgspec
import pytest

from fare.validator.signing import Purpose, SigningKey, is_signed_by, key_id_of

KEY = SigningKey.from_bytes(b"k" * 32)


def test_ed25519_is_that_of_rfc_8032_in_all_1024_cases_of_its_authors() -> None:
    """``sign.input`` of ed25519.cr.yp.to, as kept in cryptography-vectors: seed and key, key, message, signed."""
    with cryptography_vectors.open_vector_file("asymmetric/Ed25519/sign.input", "r") as file:
        lines = [line.split(":") for line in file if line.strip()]
    assert len(lines) == 1_024
    for secret, public, message, signed in (line[:4] for line in lines):
        key = SigningKey.from_bytes(bytes.fromhex(secret[:64]))
        assert key.public.hex() == public
        assert key.private.sign(bytes.fromhex(message)).hex() == signed[:128]


def test_a_signature_is_for_one_purpose() -> None:
    signed = KEY.sign(Purpose.BATCH, b"body")
    assert is_signed_by(signed, Purpose.BATCH, KEY.public)
    relabelled = msgspec.structs.replace(signed, purpose=Purpose.RECEIPT)
    assert not is_signed_by(relabelled, Purpose.RECEIPT, KEY.public)
    assert not is_signed_by(signed, Purpose.RECEIPT, KEY.public)


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\0" * 63, b"\xff" * 65])
def test_attack_4_a_cut_or_empty_signature_is_none(signature: bytes) -> None:
    signed = msgspec.structs.replace(KEY.sign(Purpose.BATCH, b"body"), signature=signature)
    assert not is_signed_by(signed, Purpose.BATCH, KEY.public)


def test_attack_4_the_order_of_the_group_added_to_a_signature_is_refused() -> None:
    """Malleability (RFC 8032, 5.1.7: S must be below L)."""
    order = 2**252 + 27742317777372353535851937790883648493
    signed = KEY.sign(Purpose.BATCH, b"body")
    scalar = int.from_bytes(signed.signature[32:], "little") + order
    other = msgspec.structs.replace(signed, signature=signed.signature[:32] + scalar.to_bytes(32, "little"))
    assert not is_signed_by(other, Purpose.BATCH, KEY.public)


def test_a_key_is_named_by_its_public_half_and_shows_no_secret() -> None:
    assert KEY.key_id == key_id_of(KEY.public)
    assert KEY.to_bytes().hex() not in repr(KEY)
    assert repr(KEY.to_bytes()) not in repr(KEY)
    assert SigningKey.from_bytes(KEY.to_bytes()).public == KEY.public
    assert SigningKey.generate().public != SigningKey.generate().public
