"""Put an emulated card into the virtual reader of pcscd (vsmartcard's vpcd), so that any PC/SC program sees it.

Protocol, from vsmartcard's documentation: each message is its length in 2 bytes, big-endian, and its bytes. One byte
is a control: 0 power off, 1 power on, 2 reset, 4 what is your ATR; only the last is answered. Longer ones are command
APDUs. The card is in the field as long as the connection lives. vpcd listens (`DEVICENAME /dev/null:PORT`) and the
card calls; the other way round, which vpcd offers too, ends Debian's pcscd 1.9.9 with a check of array bounds.
"""

import asyncio
import enum
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from fare.media.card_emulator import ATR, EmulatedCard

VPCD_PORT: Final = 35_963  # of Debian's /etc/reader.conf.d/vpcd; the next one is the second slot

_LENGTH_BYTES: Final = 2


class _Control(enum.IntEnum):
    POWER_OFF = 0
    POWER_ON = 1
    RESET = 2
    ATR = 4


@asynccontextmanager
async def in_reader(card: EmulatedCard, port: int = VPCD_PORT, host: str = "127.0.0.1") -> AsyncIterator[None]:
    """Hold ``card`` to the virtual reader that listens at ``port`` while the block runs.

    Raises:
        OSError: if nothing listens there.
    """
    reader, writer = await asyncio.open_connection(host, port)
    async with asyncio.TaskGroup() as tasks:
        held = tasks.create_task(hold(card, reader, writer), name="emulated-card")
        try:
            yield
        finally:
            held.cancel()


async def hold(card: EmulatedCard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer for ``card`` until the other side hangs up; cancelling takes the card out of the field."""
    card.reset()
    try:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
                _acknowledge_at_once(writer)
                message = await reader.readexactly(length)
                answer = _answer(card, message)
                if answer is not None:
                    writer.write(len(answer).to_bytes(_LENGTH_BYTES, "big") + answer)
                    await writer.drain()
    finally:
        writer.close()


def _acknowledge_at_once(writer: asyncio.StreamWriter) -> None:
    """Let no command wait 40 ms: vpcd sends length and message apart, and the second waits for the first's receipt."""
    connection = writer.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _answer(card: EmulatedCard, message: bytes) -> bytes | None:
    if len(message) != 1:
        return card.answer(message)
    if message[0] == _Control.ATR:
        return ATR
    if message[0] in {_Control.POWER_OFF, _Control.POWER_ON, _Control.RESET}:
        card.reset()
        return None
    return card.answer(message)
