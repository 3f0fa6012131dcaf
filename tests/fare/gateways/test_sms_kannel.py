"""Kannel end to end: fakesmsc and Kannel on one side, our door on the other; and Kannel's own SMPP centre."""

import asyncio
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from commons.clock import SystemClock
from commons.metrics import Metrics
from fare.gateways.smpp import SmppBind, SmppClient
from fare.gateways.sms_kannel import Kannel, KannelGateway
from fare.sms.values import Incoming, Outgoing, OutgoingState
from tests.fare.gateways.message_centre import CODE, RIDER, Desk, door_to
from tests.patience import PATIENCE_S

TOOLS = Path("/usr/lib/kannel/test")
NEEDED = [shutil.which("bearerbox"), shutil.which("smsbox"), shutil.which("fakesmsc", path=TOOLS)]
needs_kannel = pytest.mark.skipif(None in NEEDED, reason="no Kannel: make messages (apt install kannel kannel-extras)")

RIDER_AS_DIGITS = RIDER.removeprefix("+")
SECRET = "0123456789abcdef"
TICKET = "Билет 0451: 120 тг, маршрут 1, до 12:40. Код 1234567890"
INJECTION = "0451\r\nX-Evil: 1\r\n\r\n&from=+77770000000&secret=x#;%0d%0a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the parts of Kannel listen, and we."""

    admin: int
    smsbox: int
    fake: int
    sendsms: int
    ours: int


def configuration(ports: Ports, folder: Path) -> str:
    return f"""
group = core
admin-port = {ports.admin}
admin-interface = 127.0.0.1
admin-password = nobody
smsbox-port = {ports.smsbox}
smsbox-interface = 127.0.0.1
store-type = file
store-location = "{folder}/store"

group = smsc
smsc = fake
smsc-id = fake
host = 127.0.0.1
port = {ports.fake}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {ports.sendsms}
sendsms-interface = 127.0.0.1
http-request-retry = 5
http-queue-delay = 1

group = sendsms-user
username = ayaldama
password = s3cret
user-allow-ip = 127.0.0.1

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "http://127.0.0.1:{ports.ours}/sms/kannel/kcell?secret={SECRET}&from=%p&to=%P&text=%b&charset=%C&id=%I&at=%T"
"""


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """Run Kannel's two boxes for the module."""
    folder = tmp_path_factory.mktemp("kannel")
    free = []
    for _ in range(5):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            free.append(one.getsockname()[1])
    ports = Ports(admin=free[0], smsbox=free[1], fake=free[2], sendsms=free[3], ours=free[4])
    file = folder / "kannel.conf"
    file.write_text(configuration(ports, folder))
    with (folder / "log").open("wb") as log:
        boxes: list[subprocess.Popen[bytes]] = []
        for program, port in (("bearerbox", ports.fake), ("smsbox", ports.sendsms)):
            boxes.append(subprocess.Popen([program, str(file)], stdout=log, stderr=log, cwd=folder))
            _wait_for(port)
        yield ports
        for box in reversed(boxes):
            box.kill()  # asked politely, they wait for each other for seconds
            box.wait()


def _wait_for(port: int) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_s:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(port)


def gateway(**changed: object) -> KannelGateway:
    known: dict[str, object] = {
        "operator": "kcell",
        "sendsms_url": "http://127.0.0.1:1/",
        "username": "ayaldama",
        "password": "s3cret",
        "secret": SECRET,
    }
    return KannelGateway(**(known | changed))  # type: ignore[arg-type]


@asynccontextmanager
async def serving(
    desk: Desk, one: KannelGateway, *, port: int = 0, address: str = "127.0.0.1", metrics: Metrics | None = None
) -> AsyncIterator[URL]:
    metrics = metrics or Metrics()
    async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as tasks:
        kannel = Kannel(one, door_to(desk), client=client, address_of=lambda _: address, metrics=metrics)
        app = web.Application()
        app.add_routes(kannel.routes())
        server = TestServer(app, port=port or None)
        await server.start_server()
        sending = tasks.create_task(kannel.run())
        yield server.make_url(f"/sms/kannel/{one.operator}")
        sending.cancel()
        await server.close()


@asynccontextmanager
async def fakesmsc(port: int, text: str, got: int) -> AsyncIterator[list[str]]:
    """Send one message as a phone would, and give the ``got`` texts that the phone then gets."""

    encoded = urllib.parse.quote(text.encode("utf-16-be"), safe="")
    program = [str(TOOLS / "fakesmsc"), "-H", "127.0.0.1", "-r", str(port), "-i", "0.1", "-m", "1"]
    process = await asyncio.create_subprocess_exec(
        *program,
        f"{RIDER_AS_DIGITS} {CODE} ucs2 {encoded}",
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr is not None
    texts: list[str] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(texts) < got and (line := await process.stderr.readline()):
                if found := re.search(rb"Got message \d+: <\S+ \S+ (\S+) (\S*)>", line):
                    raw = urllib.parse.unquote_to_bytes(found[2].replace(b"+", b" "))
                    texts.append(raw.decode("utf-16-be" if found[1] == b"ucs-2" else "ascii"))
            yield texts
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def called(url: URL, query: str) -> tuple[int, str]:
    """Call as Kannel does; return status and text of the answer."""
    async with aiohttp.ClientSession() as client, client.get(URL(f"{url}?{query}", encoded=True)) as answer:
        return answer.status, await answer.text()


def through(ports: Ports, **changed: object) -> KannelGateway:
    sendsms = f"http://127.0.0.1:{ports.sendsms}/cgi-bin/sendsms"
    return gateway(sendsms_url=sendsms, receipts_url=f"http://127.0.0.1:{ports.ours}", **changed)


@needs_kannel
async def test_a_rider_writes_through_kannel_and_reads_a_ticket_in_cyrillic(ports: Ports) -> None:
    desk = Desk(lambda _: TICKET)
    async with serving(desk, through(ports), port=ports.ours), fakesmsc(ports.fake, "ҚАРТА 500", 1) as texts:
        await desk.until(lambda: desk.receipts)
    (taken,) = desk.taken
    assert texts == [TICKET]
    assert (taken.operator, taken.sender, taken.short_code, taken.text) == ("kcell", RIDER_AS_DIGITS, CODE, "ҚАРТА 500")
    assert taken.sent_ms is not None
    assert abs(taken.received_ms - taken.sent_ms) < 60_000
    assert desk.receipts == [("kcell", str(next(iter(desk.handed))), OutgoingState.DELIVERED)]


@needs_kannel
async def test_kannel_keeps_what_could_not_be_stored_and_brings_it_under_the_same_name(ports: Ports) -> None:
    desk = Desk(lambda _: TICKET)
    tried: list[str] = []

    class Failing(Desk):
        async def take(self, incoming: Incoming) -> list[Outgoing]:
            tried.append(incoming.message_id)
            if len(tried) == 1:
                raise OSError("the database is away")
            return await desk.take(incoming)

    async with serving(Failing(), through(ports), port=ports.ours), fakesmsc(ports.fake, "0451", 1):
        await desk.until(lambda: desk.taken)
    assert len(tried) == 2
    assert len(set(tried)) == 1


@needs_kannel
async def test_attack_34_what_a_rider_writes_stays_text_through_all_of_kannel(ports: Ports) -> None:
    desk = Desk(lambda incoming: f"Нет автобуса {incoming.text}")
    async with serving(desk, through(ports), port=ports.ours), fakesmsc(ports.fake, INJECTION, 1) as texts:
        (taken,) = desk.taken
    assert (taken.sender, taken.text) == (RIDER_AS_DIGITS, INJECTION)
    assert texts == [f"Нет автобуса {INJECTION}"]


GOOD = f"from=%2B77011234567&to=2505&text=0451&charset=UTF-8&id=7e0b-1&at=1789970700&secret={SECRET}"


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        (GOOD, 200, ""),
        (GOOD.replace(SECRET, "0123456789abcdeF"), 403, "secret"),
        (GOOD.replace(f"&secret={SECRET}", ""), 403, "secret"),
        (f"{GOOD}&secret={SECRET}", 400, "parameters"),
        (f"{GOOD}&from=%2B77770000000", 400, "parameters"),
        (f"{GOOD}&udh=x", 400, "parameters"),
        (GOOD.replace("&id=7e0b-1", ""), 400, "parameters"),
        (GOOD.replace("id=7e0b-1", "id=7e0b%0d%0aSet-Cookie:x"), 400, "id"),
        (GOOD.replace("from=%2B77011234567", "from=%0d%0a77011234567"), 400, "from"),
        (GOOD.replace("to=2505", "to=2505%00"), 400, "to"),
        (GOOD.replace("at=1789970700", "at=-1"), 400, "at"),
        (GOOD.replace("at=1789970700", "at=" + "9" * 12), 400, "at"),
        (GOOD.replace("text=0451", "text=" + "0" * 4_001), 400, "text"),
        (GOOD.replace("UTF-8", "UTF-7"), 400, "charset"),
        ("from", 400, "parameters"),
        (f"{GOOD}&a=1&b=2&c=3", 400, "parameters"),
    ],
)
async def test_attack_34_only_the_parameters_that_we_asked_for_come_in(query: str, status: int, why: str) -> None:
    desk, metrics = Desk(), Metrics()
    async with serving(desk, gateway(), metrics=metrics) as url:
        assert await called(url, query) == (status, f"{why}\n" if why else "")
    assert len(desk.taken) == (1 if status == 200 else 0)
    if why:
        refused = f'ayaldama_sms_gateway_refused_total{{gateway="kannel",reason="{why}"}} 1.0'
        assert refused in metrics.exposition().decode()


async def test_attack_34_what_we_send_is_one_parameter_whatever_it_holds() -> None:
    desk, asked = Desk(lambda _: INJECTION), list[str]()

    async def sendsms(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response(status=202)

    app = web.Application()
    app.router.add_get("/cgi-bin/sendsms", sendsms)
    peer = TestServer(app)
    await peer.start_server()
    one = gateway(sendsms_url=str(peer.make_url("/cgi-bin/sendsms")), receipts_url="http://us", smsc="kcell & Co")
    async with serving(desk, one) as url:
        await called(url, GOOD)
        await desk.until(lambda: desk.handed)
    await peer.close()
    query = urllib.parse.parse_qs(asked[0].partition("?")[2], strict_parsing=True, keep_blank_values=True)
    assert all(len(values) == 1 for values in query.values())
    assert (query["text"], query["from"], query["smsc"]) == ([INJECTION], [CODE], ["kcell & Co"])
    (outgoing_id,) = desk.handed
    assert query["dlr-url"] == [f"http://us/sms/kannel/kcell/receipt?id={outgoing_id}&secret={SECRET}&state=%d"]


async def test_who_calls_from_elsewhere_is_refused() -> None:
    desk = Desk()
    one = gateway(secret="", addresses=("10.0.0.7",))
    query = GOOD.replace(f"&secret={SECRET}", "")
    for address, status in (("10.0.0.7", 200), ("10.0.0.8", 403)):
        async with serving(desk, one, address=address) as url:
            assert (await called(url, query))[0] == status
    assert len(desk.taken) == 1


@pytest.mark.parametrize(
    ("changed", "named"), [({"secret": ""}, "secret or addresses"), ({"secret": "short"}, "at least 16")]
)
def test_a_door_without_a_lock_is_refused(changed: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        gateway(**changed)


@pytest.mark.parametrize(("status", "handed", "refused"), [(202, 1, 0), (400, 0, 1), (403, 0, 0), (503, 0, 0)])
async def test_a_message_that_kannel_cannot_take_now_waits(status: int, handed: int, refused: int) -> None:
    desk, asked = Desk(lambda _: TICKET), asyncio.Event()

    async def sendsms(_: web.Request) -> web.Response:
        asked.set()
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/", sendsms)
    peer = TestServer(app)
    await peer.start_server()
    async with serving(desk, gateway(sendsms_url=str(peer.make_url("/")))) as url:
        await called(url, GOOD)
        await asked.wait()
        if handed or refused:
            await desk.until(lambda: not desk.waiting)
    await peer.close()
    assert (len(desk.handed), len(desk.refusals)) == (handed, refused)
    assert bool(desk.waiting) is (not handed and not refused)


@needs_kannel
async def test_a_pair_of_binds_to_kannels_own_centre(unused_port: int) -> None:
    """``drive_smpp``, a centre in C, knows no transceivers; it delivers three messages and takes ours."""
    desk, metrics = Desk(), Metrics()
    desk.waiting = [desk.outgoing(TICKET * 2, "kcell")]
    log: list[str] = []
    process = await asyncio.create_subprocess_exec(
        str(TOOLS / "drive_smpp"), "-v", "0", "-p", str(unused_port), "-m", "3",
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    async def read_until(so: Callable[[], bool]) -> None:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while not so():
                line = await process.stderr.readline()
                assert line, "drive_smpp ended"
                log.append(line.decode("utf-8", "replace"))

    def times(said: str) -> int:
        return sum(said in line for line in log)

    client = SmppClient(
        SmppBind(operator="kcell", host="127.0.0.1", port=unused_port, system_id="foo", password="bar", pair=True),
        door_to(desk),
        chance=lambda: 0.5,
        clock=SystemClock(),
        metrics=metrics,
    )
    await read_until(lambda: times("accept_thread) maps") == 1)
    running = asyncio.create_task(client.run())
    try:
        await read_until(lambda: times("deliver_sm_resp") == 3 and times("type submit_sm") == 2)
        await desk.until(lambda: desk.handed)
    finally:
        running.cancel()
        process.kill()
        await asyncio.gather(running, return_exceptions=True)
        await process.wait()
    assert times("PANIC") == 0
    assert [one.operator for one in desk.taken] == ["kcell"] * 3
