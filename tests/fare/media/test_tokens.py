"""A medium's id is a keyed hash of the whole value, and a card number never becomes one (PCI DSS 4.0.1, 3.5.1.1)."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.media._base import Presented, Proof
from fare.media.tokens import Refused, TokenError, TokenKey, TokenKeys, holds_pan, medium_id, medium_ids, passes_luhn
from fare.model import MediumId, MediumKind

KEY = TokenKey(version=2, secret=bytes(range(32)))
OLD = TokenKey(version=1, secret=bytes(16))
PAR = "500167891234ABCDEFGHJKLMNPQRS"  # 29 characters, as EMVCo's specification of the PAR has it
TEST_CARD = "4111111111111111"  # a number that card schemes publish for tests


def test_an_id_is_hmac_sha_256_over_kind_and_whole_value() -> None:
    expected = hmac.new(KEY.secret, b"bank_card\0" + PAR.encode(), hashlib.sha256).hexdigest()[:32]
    assert medium_id(MediumKind.BANK_CARD, PAR, KEY) == expected


def test_another_key_kind_or_character_is_another_id() -> None:
    ids = {
        medium_id(MediumKind.BANK_CARD, PAR, KEY),
        medium_id(MediumKind.BANK_CARD, PAR, OLD),
        medium_id(MediumKind.PHONE, PAR, KEY),
        medium_id(MediumKind.BANK_CARD, PAR[:-1], KEY),
    }
    assert len(ids) == 4


def test_after_a_rotation_the_account_is_still_found_under_the_earlier_key() -> None:
    before = medium_id(MediumKind.BANK_CARD, PAR, OLD)
    now, earlier = medium_ids(MediumKind.BANK_CARD, PAR, TokenKeys(current=KEY, earlier=(OLD,)))
    assert earlier == before
    assert now == medium_id(MediumKind.BANK_CARD, PAR, KEY)


@pytest.mark.parametrize(
    "value",
    [
        TEST_CARD,
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        f"{TEST_CARD}D25122011234",  # track 2
        f"pan={TEST_CARD}",
        "378282246310005",  # 15 digits
        "6304000000000000000",  # 19 digits
    ],
)
def test_what_looks_like_a_card_number_is_refused_and_never_repeated(value: str) -> None:
    with pytest.raises(TokenError) as refused:
        medium_id(MediumKind.BANK_CARD, value, KEY)
    assert refused.value.refused is Refused.CARD_NUMBER
    assert not any(digit * 3 in str(refused.value) for digit in "0123456789")
    assert value not in repr(refused.value)


@pytest.mark.parametrize(
    "value", [PAR, "4111111111111112", "0478:2E21:801D:80", "41111111111", "12345678901234567890123"]
)
def test_what_is_no_card_number_names_a_medium(value: str) -> None:
    assert len(medium_id(MediumKind.BANK_CARD, value, KEY)) == 32


@given(st.text(alphabet="0123456789", min_size=11, max_size=18), st.text(max_size=8), st.text(max_size=8))
def test_every_number_with_its_check_digit_is_found_wherever_it_stands(body: str, before: str, after: str) -> None:
    number = next(body + digit for digit in "0123456789" if passes_luhn(body + digit))
    fence = "|"
    assert holds_pan(f"{before}{fence}{number}{fence}{after}")


@pytest.mark.parametrize(("value", "refused"), [("", Refused.EMPTY), ("x" * 257, Refused.TOO_LONG)])
def test_nothing_and_too_much_name_no_medium(value: str, refused: Refused) -> None:
    with pytest.raises(TokenError) as error:
        medium_id(MediumKind.BANK_CARD, value, KEY)
    assert error.value.refused is refused


def test_a_short_key_protects_nothing_and_is_refused() -> None:
    with pytest.raises(ValueError, match="15 bytes, at least 16 are needed"):
        TokenKey(version=1, secret=bytes(15))


def test_keys_show_their_version_and_never_their_secret() -> None:
    text = repr(TokenKeys(current=KEY, earlier=(OLD,)))
    assert "version=2" in text
    assert "secret" not in text
    assert "\\x01" not in text


@pytest.mark.parametrize("earlier", [TokenKey(version=2, secret=bytes(16)), TokenKey(version=3, secret=bytes(16))])
def test_the_current_key_is_the_newest_and_no_version_is_used_twice(earlier: TokenKey) -> None:
    with pytest.raises(ValueError, match="token keys"):
        TokenKeys(current=KEY, earlier=(earlier,))


@pytest.mark.parametrize("proof", list(Proof))
def test_only_a_read_medium_has_a_name(proof: Proof) -> None:
    named = proof in {Proof.VERIFIED, Proof.UNVERIFIED}
    wrong = MediumId("" if named else "a" * 32)
    with pytest.raises(ValueError, match="medium_id"):
        Presented(kind=MediumKind.TRANSPORT_CARD, medium_id=wrong, read_ms=1, proof=proof)
