"""A device's way to the server: what it does before it sends much, and where that is not understood."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest
from aiohttp import hdrs, web

from fare.validator import link as link_module
from fare.validator.link import ASK_FIRST_BYTES, Link, LinkError
from fare.validator.signing import Purpose, Signed, SigningKey

KEY = SigningKey.generate()
SHORT, LONG = (KEY.sign(Purpose.BATCH, b"x" * size) for size in (ASK_FIRST_BYTES, ASK_FIRST_BYTES + 1))
RECEIPT = msgspec.msgpack.encode(KEY.sign(Purpose.RECEIPT, b"taken"))

Expected = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@asynccontextmanager
async def link_to(came: list[tuple[bool, int]], expected: Expected | None = None) -> AsyncIterator[Link]:
    """Give a link to a server that writes down who asked and how much came; ``expected`` instead of an invitation."""

    async def answer(request: web.Request) -> web.Response:
        signed = msgspec.msgpack.decode(await request.read(), type=Signed)
        came.append((hdrs.EXPECT in request.headers, len(signed.body)))
        return web.Response(body=RECEIPT)

    application = web.Application()
    application.add_routes([web.post("/validators/records", answer, expect_handler=expected)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Link(session, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


async def test_only_who_has_much_to_send_asks_first() -> None:
    came: list[tuple[bool, int]] = []
    async with link_to(came) as link:
        for signed in (SHORT, LONG, SHORT, LONG):
            assert (await link.send(signed)).signed.body == b"taken"
    assert came == [(False, len(SHORT.body)), (True, len(LONG.body))] * 2


async def test_where_the_question_is_swallowed_every_second_one_goes_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def swallow(request: web.Request) -> None:
        del request
        await asyncio.Event().wait()

    monkeypatch.setattr(link_module, "ANSWER_MAX_S", 0.3)
    came: list[tuple[bool, int]] = []
    async with link_to(came, swallow) as link:
        for _ in range(2):
            with pytest.raises(LinkError):
                await link.send(LONG)
            assert (await link.send(LONG)).signed.body == b"taken"
    assert came == [(False, len(LONG.body))] * 2


async def test_a_server_that_cannot_take_it_says_so_before_it_is_sent() -> None:
    busy = True

    async def later(request: web.Request) -> web.StreamResponse | None:
        if busy:
            return web.Response(status=503, text="later")
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
        return None

    came: list[tuple[bool, int]] = []
    async with link_to(came, later) as link:
        with pytest.raises(LinkError, match="status 503: later"):
            await link.send(LONG)
        assert came == []
        busy = False
        for _ in range(2):
            assert (await link.send(LONG)).signed.body == b"taken"
    assert came == [(False, len(LONG.body)), (True, len(LONG.body))]
