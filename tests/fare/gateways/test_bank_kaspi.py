"""Kaspi's requests: the bank's own examples verify, and nothing else has their signatures."""

import hashlib
from ipaddress import ip_network

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fare.gateways.bank import HookRefusal
from fare.gateways.bank_kaspi import (
    Check,
    KaspiSettings,
    Notified,
    Pay,
    Sent,
    may_come_from,
    read_networks,
    read_request,
    sign,
    signed_values,
)

SECRET = "Qwerty123"  # of the bank's examples
SETTINGS = KaspiSettings(secret=SECRET, networks=read_networks(["194.187.247.0/24", "::1"]))
PAY = {"account": "79012345678", "operationId": "2000284500", "amount": "100.00", "currency": "KZT"}


def ask(fields: dict[str, str], signature: str | None = None) -> Check | Pay | Notified | HookRefusal:
    sent = msgspec.convert(fields, Sent)
    return read_request(msgspec.json.encode(fields), signature or sign(signed_values(sent), SECRET), SETTINGS)


def test_the_published_examples_verify() -> None:
    """developerhub.8b.world, "Bank Transfers (Kaspi Bank)": secret Qwerty123."""
    assert ask({"account": "79012345678"}, "dd32ecdcef74640cad316dc8b24c83c1") == Check(account="79012345678")
    paid = {"account": "79012345678", "operation_id": "2000284500", "amount_tiyn": 10_000}
    assert ask(PAY, "f58a18b507f827e019aa3e6e9609463e") == msgspec.convert(paid, Pay)
    notify = PAY | {"transactionId": "33", "status": "completed"}
    assert ask(notify, "b1958a276310bf28929d0b2c54f31300") == msgspec.convert(paid | {"transaction_id": "33"}, Notified)
    assert ask(PAY, "F58A18B507F827E019AA3E6E9609463E") == msgspec.convert(paid, Pay)


@pytest.mark.parametrize("signature", ["", "ы", "f58a18b507f827e019aa3e6e9609463f", "0" * 32, "\udcff"])
def test_another_signature_is_refused(signature: str) -> None:
    assert ask(PAY, signature or "x") is HookRefusal.SIGNATURE


def test_attack_37_the_same_string_cut_elsewhere_is_no_request() -> None:
    """``2000284500`` + ``77012345678`` + ``1100.00`` is also ``20002845007`` + ``70123456781`` + ``100.00``."""
    honest = PAY | {"account": "77012345678", "amount": "1100.00"}
    forged = PAY | {"operationId": "20002845007", "account": "70123456781", "amount": "100.00"}
    signature = sign(signed_values(msgspec.convert(honest, Sent)), SECRET)
    assert sign(signed_values(msgspec.convert(forged, Sent)), SECRET) == signature, "MD5 sees no difference"
    assert isinstance(ask(honest, signature), Pay)
    assert ask(forged, signature) is HookRefusal.MALFORMED


@given(
    st.from_regex(r"[1-9][0-9]{9}", fullmatch=True),
    st.from_regex(r"7[0-9]{10}", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{0,5}\.[0-9]{2}", fullmatch=True),
    st.integers(-9, 9),
    st.sampled_from([11, 11, 11, 10, 12]),
)
def test_attack_37_no_other_cut_of_a_signed_payment_is_a_request(
    operation_id: str, account: str, amount: str, shift: int, length: int
) -> None:
    whole, first = operation_id + account + amount, len(operation_id) + shift
    cut = (whole[:first], whole[first : first + length], whole[first + length :])
    assume(cut != (operation_id, account, amount))
    signature = hashlib.md5(f"{whole}KZT{SECRET}".encode(), usedforsecurity=False).hexdigest()
    forged = {"operationId": cut[0], "account": cut[1], "amount": cut[2], "currency": "KZT"}
    assert isinstance(ask(forged, signature), HookRefusal)


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"currency": "KGS"}, HookRefusal.CURRENCY),
        ({"currency": "kzt"}, HookRefusal.MALFORMED),
        ({"amount": "100"}, HookRefusal.MALFORMED),
        ({"amount": "100.0"}, HookRefusal.MALFORMED),
        ({"amount": "-100.00"}, HookRefusal.MALFORMED),
        ({"amount": "0100.00"}, HookRefusal.MALFORMED),
        ({"amount": "0.50"}, HookRefusal.MALFORMED),
        ({"amount": "9999999999.00"}, HookRefusal.MALFORMED),
        ({"amount": "١٠٠.٠٠"}, HookRefusal.MALFORMED),
        ({"account": "89012345678"}, HookRefusal.MALFORMED),
        ({"account": "7901234567"}, HookRefusal.MALFORMED),
        ({"account": ""}, HookRefusal.MALFORMED),
        ({"operationId": ""}, HookRefusal.MALFORMED),
        ({"operationId": "0000284500"}, HookRefusal.MALFORMED),
        ({"status": "completed"}, HookRefusal.MALFORMED),
        ({"status": "refunded", "transactionId": "33"}, HookRefusal.MALFORMED),
    ],
)
def test_attacks_41_and_44_a_field_of_another_form_is_refused_though_signed(
    changed: dict[str, str], refusal: HookRefusal
) -> None:
    assert ask(PAY | changed) is refusal


@given(st.binary(max_size=300))
def test_whatever_comes_is_refused_unless_it_is_signed(body: bytes) -> None:
    assert isinstance(read_request(body, "0" * 32, SETTINGS), HookRefusal)


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("194.187.247.9", True),
        ("::ffff:194.187.247.9", True),
        ("::1", True),
        ("194.187.248.9", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_only_the_banks_addresses_are_believed(address: str, may: bool) -> None:
    assert may_come_from(address, SETTINGS) is may


def test_without_addresses_nobody_is_believed_and_a_short_secret_is_none() -> None:
    assert not may_come_from("127.0.0.1", KaspiSettings(secret=SECRET, networks=()))
    with pytest.raises(ValueError, match="at least 8"):
        KaspiSettings(secret="short", networks=(ip_network("10.0.0.0/8"),))
    assert SECRET not in repr(SETTINGS)
