"""Bank cards as a certified reader tells of them: a token, a counter, a proof, and never a card number."""

import asyncio
import json
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import CapturingLogger

from fare.media._base import Presented, Proof, ReaderSettings
from fare.media.readers import bank_card, discover
from fare.media.readers.bank_card import ReaderGoneError, presented
from fare.media.tokens import TokenKey, TokenKeys, medium_id
from fare.model import MediumId, MediumKind
from tests.fare.media.cards import APPLICATION, MASTER_KEY

KEY = TokenKey(version=1, secret=bytes(32))
PAR = "500167891234ABCDEFGHJKLMNPQRS"


def settings(device: str = "") -> ReaderSettings:
    return ReaderSettings(
        device=device,
        token_keys=TokenKeys(current=KEY),
        card_application=APPLICATION,
        card_key=MASTER_KEY,
        now_ms=lambda: 1_000,
    )


def shown(**said: object) -> Presented:
    return presented(json.dumps(said).encode() + b"\n", settings())


def failed() -> Presented:
    return Presented(kind=MediumKind.BANK_CARD, read_ms=1_000, proof=Proof.FAILED)


@pytest.mark.parametrize("proof", [Proof.VERIFIED, Proof.UNVERIFIED])
def test_a_card_is_named_by_its_token_and_counted_by_its_counter(proof: Proof) -> None:
    assert shown(token=PAR, atc=17, proof=proof) == Presented(
        kind=MediumKind.BANK_CARD,
        medium_id=medium_id(MediumKind.BANK_CARD, PAR, KEY),
        counter=17,
        read_ms=1_000,
        proof=proof,
    )


@pytest.mark.parametrize("proof", [Proof.FAILED, Proof.TORN, Proof.CLASH])
def test_what_was_not_read_has_no_name(proof: Proof) -> None:
    assert shown(token=PAR, atc=17, proof=proof).medium_id == MediumId("")


def test_a_reader_that_sends_a_card_number_is_not_believed_and_its_line_not_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = CapturingLogger()
    monkeypatch.setattr(bank_card, "log", logger)
    assert shown(token="4111111111111111", atc=17, proof="verified") == failed()
    heard = repr(logger.calls)
    assert "card_number" in heard
    assert "4111" not in heard


@given(st.binary(max_size=200))
def test_attack_23_whatever_a_line_is_it_is_a_showing(line: bytes) -> None:
    assert presented(line, settings()).proof in {*Proof}


async def test_showings_come_over_the_line_until_the_reader_is_gone() -> None:
    async def adapter(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for atc in (1, 2):
            writer.write(json.dumps({"token": PAR, "atc": atc, "proof": "verified"}).encode() + b"\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(adapter, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        discover()["bank_card"].open_reader(settings(f"127.0.0.1:{port}")) as reader,
        aclosing(aiter(reader)) as one,
    ):
        assert [(await anext(one)).counter, (await anext(one)).counter] == [1, 2]
        with pytest.raises(ReaderGoneError, match=f"127.0.0.1:{port}"):
            await anext(one)
    server.close()


@pytest.mark.parametrize("device", ["", "reader", "reader:", "reader:http"])
async def test_a_device_that_is_no_address_is_the_callers_error(device: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        async with discover()["bank_card"].open_reader(settings(device)):
            pass


def test_every_medium_is_found_by_its_file_and_named_like_it() -> None:
    found = discover()
    assert {name: medium.kind for name, medium in found.items()} == {
        "bank_card": MediumKind.BANK_CARD,
        "transport_card": MediumKind.TRANSPORT_CARD,
    }
    assert all(medium.name == name for name, medium in found.items())
