"""Units on the wire: each speaks Wialon IPS or OsmAnd to the real intake and keeps what was not acknowledged.

A fix that could not be sent at once goes out as a Wialon black-box record, as real units do it; OsmAnd has no such
mark, there it is only late. Memory is bounded: the oldest fixes are overwritten.
"""

import asyncio
import datetime as dt
import http
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
from fastcrc import crc16

from commons.clock import Clock
from commons.logs import get_logger

KEPT_MAX: Final = 500  # fixes in a unit's memory
BLACK_BOX_MAX: Final = 60  # records in one packet
LIVE_MAX_MS: Final = 20_000  # a fix that waited for longer is a black-box record
ANSWER_MAX_S: Final = 10.0
PAUSE_FIRST_S: Final = 0.3
PAUSE_MAX_S: Final = 4.0
KNOTS: Final = 3600 / 1852

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """One fix as a unit holds it. ``route``: what the driver's terminal says, "" if the bus has none."""

    fix_ms: int
    lat: float
    lon: float
    speed_mps: float
    heading_deg: float
    route: str = ""
    direction: int = -1


class Unit(Protocol):
    """A unit on one bus."""

    def offer(self, fix: Fix) -> None:
        """Take a fix to be sent."""

    async def run(self) -> None:
        """Send what there is, for ever; connect again after every cut."""


class _Memory:
    """Fixes that are not acknowledged yet, and whether the mobile network is there."""

    def __init__(self) -> None:
        self.fixes: deque[Fix] = deque(maxlen=KEPT_MAX)
        self.some = asyncio.Event()
        self.online = asyncio.Event()
        self.online.set()

    def offer(self, fix: Fix) -> None:
        self.fixes.append(fix)
        self.some.set()

    async def wait(self) -> None:
        """Wait for a fix and for the network."""
        if not self.fixes:
            self.some.clear()
            await self.some.wait()
        await self.online.wait()


class WialonUnit:
    """A unit that speaks Wialon IPS, 1.1 or 2.0, over one TCP connection."""

    def __init__(self, device_id: str, key: str, *, host: str, port: int, clock: Clock, checked: bool) -> None:
        self._device_id, self._key = device_id, key
        self._host, self._port, self._clock = host, port, clock
        self._checked = checked
        self.memory = _Memory()

    def offer(self, fix: Fix) -> None:
        """Take a fix to be sent."""
        self.memory.offer(fix)

    async def run(self) -> None:
        """Send for ever."""
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                async with asyncio.timeout(ANSWER_MAX_S):
                    reader, writer = await asyncio.open_connection(self._host, self._port)
                try:
                    await self._sign_in(reader, writer)
                    pause_s = PAUSE_FIRST_S
                    while True:
                        await self.memory.wait()
                        await self._send_some(reader, writer)
                finally:
                    writer.close()
            except (OSError, TimeoutError, EOFError) as error:
                _log.debug("unit connects again", device=self._device_id, error=repr(error))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.6, PAUSE_MAX_S)

    async def _sign_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = f"2.0;{self._device_id};{self._key};" if self._checked else f"{self._device_id};{self._key}"
        writer.write(_packet("L", message, checked=self._checked))
        answer = await _line(reader)
        if answer != b"#AL#1\r\n":
            raise ConnectionRefusedError(f"sign-in of {self._device_id}: {answer!r}")

    async def _send_some(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send the oldest fixes and drop them when they are acknowledged."""
        fixes = self.memory.fixes
        if self._clock.now_ms() - fixes[0].fix_ms > LIVE_MAX_MS * self._clock.rate and len(fixes) > 1:
            part = [fixes[i] for i in range(min(len(fixes) - 1, BLACK_BOX_MAX))]
            text = "|".join(_short(fix) for fix in part)
            writer.write(_packet("B", text + ("|" if self._checked else ""), checked=self._checked))
            answer, taken = await _line(reader), b"#AB#%d\r\n" % len(part)
        else:
            part = [fixes[0]]
            kind, text = ("D", _long(part[0])) if part[0].route else ("SD", _short(part[0]))
            writer.write(_packet(kind, text + (";" if self._checked else ""), checked=self._checked))
            answer, taken = await _line(reader), f"#A{kind}#1\r\n".encode("ascii")
        if answer != taken:  # said once more it would be refused once more
            _log.warning("intake refuses a packet", device=self._device_id, answer=answer.decode("ascii", "replace"))
        for fix in part:
            if fixes and fixes[0] is fix:
                fixes.popleft()


class OsmAndUnit:
    """A telephone that asks by HTTP, one fix per request."""

    def __init__(self, device_id: str, key: str, *, url: str, session: aiohttp.ClientSession) -> None:
        self._device_id, self._key, self._url, self._http = device_id, key, url, session
        self.memory = _Memory()

    def offer(self, fix: Fix) -> None:
        """Take a fix to be sent."""
        self.memory.offer(fix)

    async def run(self) -> None:
        """Send for ever."""
        pause_s = PAUSE_FIRST_S
        while True:
            await self.memory.wait()
            fix = self.memory.fixes[0]
            try:
                async with self._http.get(self._url, params=self._query(fix)) as answer:
                    await answer.read()
                    if answer.status == http.HTTPStatus.BAD_REQUEST:  # said once more it would be refused once more
                        _log.warning("intake refuses a fix", device=self._device_id)
                    else:
                        answer.raise_for_status()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                _log.debug("telephone sends again", device=self._device_id, error=repr(error))
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 1.6, PAUSE_MAX_S)
                continue
            pause_s = PAUSE_FIRST_S
            if self.memory.fixes and self.memory.fixes[0] is fix:
                self.memory.fixes.popleft()

    def _query(self, fix: Fix) -> Sequence[tuple[str, str]]:
        query = [
            ("id", self._device_id),
            ("key", self._key),
            ("timestamp", str(fix.fix_ms)),
            ("lat", f"{fix.lat:.6f}"),
            ("lon", f"{fix.lon:.6f}"),
            ("speed", f"{fix.speed_mps * KNOTS:.1f}"),
            ("bearing", f"{fix.heading_deg:.0f}"),
        ]
        if fix.route:
            query += [("route_id", fix.route), ("direction_id", str(fix.direction))]
        return query


async def _line(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(ANSWER_MAX_S):
        answer = await reader.readline()
    if not answer:
        raise EOFError("intake hung up")
    return answer


def _packet(kind: str, text: str, *, checked: bool) -> bytes:
    body = text.encode("ascii")
    crc = b"%04X" % crc16.arc(body) if checked else b""
    return b"#%s#%s%s\r\n" % (kind.encode("ascii"), body, crc)


def _short(fix: Fix) -> str:
    at = dt.datetime.fromtimestamp(fix.fix_ms / 1000, dt.UTC)
    lat, north = _degrees(fix.lat, 2), "N" if fix.lat >= 0 else "S"
    lon, east = _degrees(fix.lon, 3), "E" if fix.lon >= 0 else "W"
    speed, course = f"{fix.speed_mps * 3.6:.0f}", f"{fix.heading_deg % 360:.0f}"
    fraction = f".{fix.fix_ms % 1000:03d}" if fix.fix_ms % 1000 else ""  # version 2.1 knows fractions of a second
    return f"{at:%d%m%y;%H%M%S}{fraction};{lat};{north};{lon};{east};{speed};{course};130;11"


def _long(fix: Fix) -> str:
    return f"{_short(fix)};0.9;0;0;;NA;route_id:3:{fix.route},direction_id:3:{fix.direction}"


def _degrees(value: float, width: int) -> str:
    whole, part = divmod(round(abs(value) * 600_000), 600_000)  # ten-thousandths of a minute
    return f"{whole:0{width}d}{part / 10_000:07.4f}"
