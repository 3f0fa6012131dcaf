"""Webhooks of the gateway: what is believed. Signed here by the package standardwebhooks, which nobody here wrote."""

import base64
import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Signer

from fare.gateways.bank import HookRefusal
from fare.gateways.bank_redirect import Webhook, read_secret, read_webhook
from fare.top_ups import BankState, BankWord, Invoice

SECRET, NEXT_SECRET = bytes(range(32)), bytes(range(1, 33))
NOW_S = 1_800_000_000
PAYMENT = {"id": "p-1", "invoice": "100000", "amount": "500.00", "currency": "KZT", "status": "paid", "refunded": 0}


def signed(
    body: bytes, *, secrets: Sequence[bytes] = (SECRET,), at_s: int = NOW_S, message_id: str = "msg_1"
) -> dict[str, str]:
    when = dt.datetime.fromtimestamp(at_s, dt.UTC)
    signatures = [Signer(secret).sign(message_id, when, body.decode()) for secret in secrets]
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": " ".join(signatures)}


def read(body: bytes, headers: Mapping[str, str], secrets: Sequence[bytes] = (SECRET,)) -> Webhook | HookRefusal:
    return read_webhook(body, headers, secrets, NOW_S * 1_000)


def body_of(**changed: object) -> bytes:
    return msgspec.json.encode(PAYMENT | changed)


def test_a_signed_payment_is_a_word() -> None:
    said = read(body_of(refunded="1.50"), signed(body_of(refunded="1.50")))
    assert isinstance(said, Webhook)
    assert said.word == BankWord(
        invoice=Invoice("100000"),
        operation_id="p-1",
        state=BankState.PAID,
        amount_tiyn=50_000,
        refunded_tiyn=150,
    )


def test_the_published_vector_is_of_the_right_signature() -> None:
    """standard-webhooks, libraries/python, tests: its body is no payment, so the signature is not what is refused."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert read_webhook(body, headers, [secret], 1_614_265_330_000) is HookRefusal.MALFORMED
    assert read_webhook(body + b" ", headers, [secret], 1_614_265_330_000) is HookRefusal.SIGNATURE
    assert read_webhook(body, headers, [SECRET], 1_614_265_330_000) is HookRefusal.SIGNATURE


@pytest.mark.parametrize("position", range(0, len(body_of()), 7))
def test_attack_36_an_altered_body_is_not_believed(position: int) -> None:
    body = bytearray(body_of())
    headers = signed(bytes(body))
    body[position] ^= 1
    assert read(bytes(body), headers) is HookRefusal.SIGNATURE


def test_attack_36_a_wrong_secret_another_id_or_another_time_is_not_believed() -> None:
    headers = signed(body_of())
    assert read(body_of(), signed(body_of(), secrets=[NEXT_SECRET])) is HookRefusal.SIGNATURE
    assert read(body_of(), headers | {"webhook-id": "msg_2"}) is HookRefusal.SIGNATURE
    assert read(body_of(), headers | {"webhook-timestamp": str(NOW_S + 1)}) is HookRefusal.SIGNATURE


@pytest.mark.parametrize(("skew_s", "believed"), [(-300, True), (300, True), (-301, False), (301, False)])
def test_attack_36_a_clock_may_be_wrong_by_five_minutes(skew_s: int, believed: bool) -> None:
    said = read(body_of(), signed(body_of(), at_s=NOW_S + skew_s))
    assert isinstance(said, Webhook) if believed else said is HookRefusal.CLOCK


def test_either_side_changes_its_secret_without_a_pause() -> None:
    for secrets, known in (((SECRET, NEXT_SECRET), (SECRET,)), ((NEXT_SECRET,), (SECRET, NEXT_SECRET))):
        assert isinstance(read(body_of(), signed(body_of(), secrets=secrets), known), Webhook)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,ы"},
        {"webhook-signature": "v1,====="},
        {"webhook-signature": "v1a," + base64.b64encode(bytes(64)).decode()},
        {"webhook-signature": " ".join(["v1,AAAA"] * 500)},
        {"webhook-timestamp": "NaN"},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-id": "x" * 500},
        {"webhook-id": "a\nb"},
    ],
)
def test_attack_36_headers_that_cannot_be_are_refused(headers: dict[str, str]) -> None:
    wrong = signed(body_of()) | headers if headers else {}
    assert read(body_of(), wrong) in {HookRefusal.MALFORMED, HookRefusal.SIGNATURE}


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"currency": "KGS"}, HookRefusal.CURRENCY),
        ({"currency": "kzt"}, HookRefusal.CURRENCY),
        ({"amount": "500.001"}, HookRefusal.MALFORMED),
        ({"amount": "-500"}, HookRefusal.MALFORMED),
        ({"amount": 0}, HookRefusal.MALFORMED),
        ({"amount": "1e30"}, HookRefusal.MALFORMED),
        ({"amount": "NaN"}, HookRefusal.MALFORMED),
        ({"amount": "Infinity"}, HookRefusal.MALFORMED),
        ({"refunded": "-1"}, HookRefusal.MALFORMED),
        ({"id": ""}, HookRefusal.MALFORMED),
        ({"id": "a/b"}, HookRefusal.MALFORMED),
        ({"status": "settled"}, HookRefusal.MALFORMED),
    ],
)
def test_attacks_41_and_44_amounts_and_currencies_that_cannot_be_are_refused(
    changed: dict[str, object], refusal: HookRefusal
) -> None:
    body = body_of(**changed)
    assert read(body, signed(body)) is refusal


@given(st.binary(max_size=200), st.dictionaries(st.sampled_from(list(signed(b""))), st.text(max_size=60)))
def test_whatever_comes_is_a_refusal_unless_it_is_signed(body: bytes, headers: dict[str, str]) -> None:
    assert isinstance(read(body, headers), HookRefusal)


@pytest.mark.parametrize("text", ["whsec_", "whsec_AAAA", "whsec_#", "", "whsec_" + "A" * 31])
def test_a_secret_too_short_or_wrong_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="webhook secret must") as refused:
        read_secret(text)
    assert text.removeprefix("whsec_") not in str(refused.value) or len(text) < 8
