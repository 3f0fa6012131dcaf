"""Real readers on a validator: a transport card through PC/SC, a bank card's token from a certified reader."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg

from commons.clock import SystemClock, wall_ms
from fare.media._base import MediumReader, ReaderSettings
from fare.media.card_emulator import EmulatedCard, personalised
from fare.media.desfire import CardApplication, CardIdentity
from fare.media.readers import discover
from fare.media.tokens import TokenKey, TokenKeys, medium_id
from fare.media.vpcd import in_reader
from fare.model import MediumKind, Tap
from fare.outcomes import TapOutcome
from fare.validator.home import Identity
from fare.validator.run import ValidatorSettings, enrol_device, open_validator
from tests.fare.media.pcscd import READER, Pcscd
from tests.fare.validator.city import City, city_of
from tests.fare.validator.device import Device, ayaldama, screen
from tests.patience import PATIENCE_S

SECRET = bytes(range(16))
MASTER = bytes(range(16, 32))
MEDIA_KEYS = f'token_version = 1\ntoken_secret = "{SECRET.hex()}"\ncard_key = "{MASTER.hex()}"\n'
TOKEN = "par-of-a-bank-card"
CARD = CardIdentity(issuer="kzo", identifier=bytes.fromhex("1f2e3d4c5b6a7988"), expires_ms=wall_ms() + 10**9)


@asynccontextmanager
async def bank_reader(lines: "asyncio.Queue[bytes]") -> AsyncIterator[int]:
    """The adapter beside a certified reader."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(await lines.get())
            await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def taken(city: City, count: int) -> list[Tap]:
    """Wait until the server has ``count`` taps."""
    async with asyncio.timeout(PATIENCE_S):
        while len(city.taps) < count:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.05)
    return city.taps


async def test_a_bank_cards_token_rides_and_a_recording_of_it_does_not(postgres: asyncpg.Pool, tmp_path: Path) -> None:
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    keys = tmp_path / "media.toml"
    keys.write_text(MEDIA_KEYS)
    keys.chmod(0o600)
    async with city_of(postgres) as city, bank_reader(lines) as port, aiohttp.ClientSession() as session:
        status, _, err = await ayaldama(tmp_path, "validator", "enrol", str(await city.code()), "--server", city.url)
        assert status == 0, err
        device = Device(tmp_path)
        await device.start("--reader", f"bank_card=127.0.0.1:{port}", "--media-keys", str(keys))
        seen = await screen(device, session)
        await seen.next("status", state="in_service")
        for counter, outcome in ((41, "accepted"), (42, "already_paid"), (40, "refused_unknown")):
            await lines.put(b'{"token": "%s", "atc": %d, "proof": "verified"}\n' % (TOKEN.encode(), counter))
            assert (await seen.next("shown"))["outcome"] == outcome
        first, *_ = await taken(city, 3)
        assert first.medium_id == medium_id(MediumKind.BANK_CARD, TOKEN, TokenKey(version=1, secret=SECRET))
        assert (first.counter, first.shown_tiyn) == (41, 12_000)
        await device.stop()
        assert TOKEN.encode() not in everything_in(tmp_path / "validator"), "only its keyed hash is kept"


async def test_a_transport_card_held_to_a_pcsc_reader_rides(
    postgres: asyncpg.Pool, tmp_path: Path, pcscd: Pcscd
) -> None:
    application = CardApplication(issuer="kzo")
    token_keys = TokenKeys(current=TokenKey(version=1, secret=SECRET))

    def opener(_identity: Identity) -> AbstractAsyncContextManager[MediumReader]:
        return discover()["transport_card"].open_reader(
            ReaderSettings(
                device=READER,
                token_keys=token_keys,
                card_application=application,
                card_key=MASTER,
                answer_max_ms=10_000.0,  # a busy machine, not a relay
                now_ms=wall_ms,
            )
        )

    made = personalised(bytes.fromhex("04782e21801d80"), CARD, application, MASTER)
    card = EmulatedCard(made, random.Random(1).randbytes)  # noqa: S311 - foreseeable on purpose
    async with city_of(postgres) as city:
        await enrol_device(tmp_path, city.url, await city.code())
        settings = ValidatorSettings(folder=tmp_path, port=0, readers=(("front", opener),))
        async with (
            open_validator(settings, clock=SystemClock()) as port,
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{port}/ws") as socket,
        ):
            async with asyncio.timeout(PATIENCE_S):
                while (await socket.receive_json())["state"] != "in_service":
                    pass
            async with in_reader(card, pcscd.ports[0]):
                (tap,) = await taken(city, 1)
        assert tap.outcome is TapOutcome.ACCEPTED
        assert tap.medium_id == medium_id(MediumKind.TRANSPORT_CARD, CARD.value, token_keys.current)
        assert tap.shown_tiyn == 10_000
