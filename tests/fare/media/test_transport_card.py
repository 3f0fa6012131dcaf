"""Cards shown to a real PC/SC stack: Debian's pcscd with its virtual reader, our card, and two readers of it."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from itertools import count
from typing import Any, cast

import pytest

from fare.media._base import Presented, Proof, ReaderSettings
from fare.media.card_emulator import EmulatedCard
from fare.media.desfire import MORE_FRAMES, READ_DATA
from fare.media.pcsc import CardConnection, CardGoneError, Field, PcscError, PcscReader
from fare.media.readers import discover
from fare.media.readers.transport_card import TransportCardReader
from fare.media.tokens import TokenKey, TokenKeys, medium_id
from fare.media.vpcd import in_reader
from fare.model import MediumId, MediumKind
from tests.fare.media.cards import APPLICATION, IDENTITY, MASTER_KEY, UID, card, contents
from tests.fare.media.pcscd import READER, Pcscd
from tests.patience import PATIENCE_S

PCSCD_LOOKS_S = 1.0  # it looks every 0.4 s at a virtual reader and misses a card that is changed faster than that
KEY = TokenKey(version=1, secret=bytes(32))
CARD = medium_id(MediumKind.TRANSPORT_CARD, IDENTITY.value, KEY)
needs_pyscard = pytest.mark.skipif(
    importlib.util.find_spec("smartcard") is None, reason="no pyscard: pip install 'ayaldama[pcsc]'"
)


def settings(device: str = READER) -> ReaderSettings:
    times = count(1_000, 1_000)
    return ReaderSettings(
        device=device,
        token_keys=TokenKeys(current=KEY),
        card_application=APPLICATION,
        card_key=MASTER_KEY,
        answer_max_ms=10_000.0,  # this is a busy machine, not a relay
        now_ms=lambda: next(times),
    )


@asynccontextmanager
async def showings() -> AsyncIterator[Callable[[], Any]]:
    """Open the reader; what is given back waits for the next showing."""
    async with discover()["transport_card"].open_reader(settings()) as reader, aclosing(aiter(reader)) as shown:
        yield lambda: asyncio.wait_for(anext(shown), PATIENCE_S)


async def field_is_empty() -> None:
    def wait() -> None:
        reader = PcscReader(READER)
        try:
            field = reader.wait(PATIENCE_S)
            while field is not None and field.present:
                field = reader.wait(PATIENCE_S)
        finally:
            reader.close()

    await asyncio.to_thread(wait)


def presented(proof: Proof, medium: MediumId = CARD, at_ms: int = 1_000) -> Presented:
    named = proof is Proof.VERIFIED
    return Presented(
        kind=MediumKind.TRANSPORT_CARD,
        medium_id=medium if named else MediumId(""),
        read_ms=at_ms,
        proof=proof,
        expires_ms=IDENTITY.expires_ms if named else 0,
    )


@needs_pyscard
async def test_a_card_held_to_the_reader_is_one_showing_each_time(pcscd: Pcscd) -> None:
    async with showings() as next_shown:
        for round_ in (1, 2):
            async with in_reader(card(), pcscd.ports[0]):
                assert await next_shown() == presented(Proof.VERIFIED, at_ms=1_000 * round_)
            await field_is_empty()


@needs_pyscard
async def test_attack_22_a_forged_card_is_shown_without_a_name(pcscd: Pcscd) -> None:
    async with showings() as next_shown, in_reader(card(contents(key=bytes(16))), pcscd.ports[0]):
        assert await next_shown() == presented(Proof.FAILED)
    await field_is_empty()


class LeavesEarly(EmulatedCard):
    """A card that is taken away when it hears ``command``, as a hand in a hurry does."""

    def leave_at(self, command: int) -> "LeavesEarly":
        self.command = command
        return self

    def answer(self, apdu: bytes) -> bytes:
        if apdu[1:2] == bytes([self.command]) and len(apdu) > 6:
            raise ConnectionResetError("taken away")
        return super().answer(apdu)


@needs_pyscard
@pytest.mark.parametrize("command", [MORE_FRAMES, READ_DATA])
async def test_attack_20_a_card_taken_away_mid_way_is_torn_and_read_when_held_again(pcscd: Pcscd, command: int) -> None:
    hurried = LeavesEarly(contents(), bytes).leave_at(command)
    async with showings() as next_shown:
        async with in_reader(hurried, pcscd.ports[0]):
            assert await next_shown() == presented(Proof.TORN)
        await asyncio.sleep(PCSCD_LOOKS_S)
        await field_is_empty()
        async with in_reader(card(), pcscd.ports[0]):
            assert await next_shown() == presented(Proof.VERIFIED, at_ms=2_000)
    await field_is_empty()


@needs_pyscard
async def test_attack_21_two_cards_in_the_field_clash_and_neither_pays(pcscd: Pcscd) -> None:
    async with in_reader(card(), pcscd.ports[0]), in_reader(card(seed=2), pcscd.ports[1]):
        watching = await asyncio.to_thread(PcscReader, READER)
        field = None
        while field is None or len(field.present) < 2:
            field = await asyncio.to_thread(watching.wait, PATIENCE_S)
            assert field is not None, "both cards must come into the field"
        watching.close()
        async with showings() as next_shown:
            assert await next_shown() == presented(Proof.CLASH)
    await field_is_empty()


@needs_pyscard
async def test_python_desfire_reads_our_card(pcscd: Pcscd) -> None:
    """An implementation that nobody here wrote agrees on framing, authentication, session key and CMAC."""
    from desfire import DESFire, DESFireKey
    from desfire.devices.base import Device
    from desfire.diversify import diversify_key
    from desfire.enums import DESFireKeyType
    from desfire.schemas import KeySettings

    class Connected(Device):
        def __init__(self, connection: CardConnection) -> None:
            self._connection = connection

        def transceive(self, bytes: list[int]) -> list[int]:  # noqa: A002 - the base class names it so
            return list(self._connection.transmit(bytearray(bytes)))

    def read() -> tuple[bytes, bytes, list[int]]:
        reader = PcscReader(READER)
        field = reader.wait(PATIENCE_S)
        while field is not None and not field.present:
            field = reader.wait(PATIENCE_S)
        assert field is not None
        with reader.card(field.present[0]) as connection:
            desfire = DESFire(Connected(connection))
            uid = bytes(desfire.get_card_version().uid)
            desfire.select_application(APPLICATION.aid)
            own = diversify_key(list(MASTER_KEY), [1, *APPLICATION.diversification(uid)])
            desfire.authenticate(1, DESFireKey(KeySettings(key_type=DESFireKeyType.DF_KEY_AES), bytes(own)))
            files = desfire.get_file_ids()
            data = desfire.read_file_data(1, desfire.get_file_settings(1))
        reader.close()
        return uid, bytes(data), files

    async with in_reader(card(), pcscd.ports[0]):
        assert await asyncio.to_thread(read) == (UID, IDENTITY.encoded(), [1])
    await field_is_empty()


@needs_pyscard
def test_a_reader_that_is_not_there_is_named_with_those_that_are(pcscd: Pcscd) -> None:
    with pytest.raises(PcscError, match=rf"no reader named 'Gate 7', there are \['{READER} 00 00'"):
        PcscReader("Gate 7")


class Looks:
    """What a PC/SC reader sees at each look, and the card that it holds then, None for one that is just leaving."""

    def __init__(self, *seen: EmulatedCard | None) -> None:
        self._seen = list(seen)
        self._held: EmulatedCard | None = None

    def wait(self, wait_s: float) -> Field | None:
        if wait_s == 0.0 or not self._seen:
            return None
        self._held = self._seen.pop(0)
        return Field(present=("slot",))

    @contextmanager
    def card(self, slot: str) -> Iterator[EmulatedCard]:
        if self._held is None:
            raise CardGoneError(slot)
        self._held.transmit = self._held.answer  # type: ignore[attr-defined]
        yield self._held


async def test_a_torn_card_that_is_back_before_the_next_look_is_read() -> None:
    reader = TransportCardReader(cast("PcscReader", Looks(None, card(), card())), settings())
    async with aclosing(aiter(reader)) as shown:
        assert [(await anext(shown)).proof, (await anext(shown)).proof] == [Proof.TORN, Proof.VERIFIED]
        with pytest.raises(TimeoutError):  # it stays: that is no new showing
            await asyncio.wait_for(anext(shown), 0.2)


def test_without_pyscard_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "smartcard.scard", None)
    with pytest.raises(PcscError, match=r"pip install 'ayaldama\[pcsc\]'"):
        PcscReader("")
