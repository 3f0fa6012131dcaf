"""What a GPS protocol is: bytes or an HTTP request in, typed fixes and the exact answer out. No socket, no clock.

A decoder never decides who a tracker is. It reports a ``SignIn`` and stops there, keeping the bytes that follow; the
edge looks the device up and calls ``accept`` or ``refuse``, which goes on with those bytes. The edge sends ``reply``
only after the fixes before it are stored, because a tracker forgets what was acknowledged.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import msgspec

from transit.model import UNKNOWN_DIRECTION


class Refusal(enum.StrEnum):
    """Why a packet, or a record in it, was not taken, in order of precedence. Each member is a metric label."""

    STRUCTURE = enum.auto()  # not a packet of this protocol, or fields are missing
    CHECKSUM = enum.auto()
    UNSUPPORTED = enum.auto()  # known to the protocol, not taken by us (pictures, tachograph files)
    UNKNOWN_DEVICE = enum.auto()
    WRONG_KEY = enum.auto()
    DISABLED_DEVICE = enum.auto()
    NO_SIGN_IN = enum.auto()  # data before sign-in
    TOO_MANY = enum.auto()  # faster than a device may report
    NO_PLACE = enum.auto()  # a packet without a place: well-formed, nothing to store
    NO_TIME = enum.auto()  # a fix without a time: it is never stamped with ours
    BAD_TIME = enum.auto()
    BAD_PLACE = enum.auto()
    BAD_MOTION = enum.auto()  # speed, course or altitude
    BAD_QUALITY = enum.auto()  # satellites or dilution of precision
    BAD_INPUTS = enum.auto()
    BAD_ANALOGUE = enum.auto()
    BAD_PARAMETER = enum.auto()


HINT_MAX: Final = 64


def hint_of(text: str) -> str:
    """Return an id that a device gave, "" if it cannot be one: it goes into keys, logs and the database."""
    return text if len(text) <= HINT_MAX and text.isprintable() else ""


class Fix(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fix as a tracker sent it, in SI units. Which vehicle it is, only the edge knows."""

    fix_ms: int
    lat: float
    lon: float
    speed_mps: float | None = None
    heading_deg: float | None = None  # clockwise from north
    archived: bool = False  # a black-box record, sent late on purpose
    trip_id: str = ""
    block_id: str = ""
    route_id: str = ""
    direction_id: int = UNKNOWN_DIRECTION


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A device says who it is. ``key`` never appears in a log."""

    device_id: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What came out of some bytes, in this order: ``fixes`` to store, then ``reply`` to send, then ``sign_in``.

    ``close``: send ``reply``, then end the connection.
    """

    fixes: Sequence[Fix] = ()
    reply: bytes = b""
    refused: Sequence[Refusal] = ()
    sign_in: SignIn | None = None
    close: bool = False


class FramingError(ValueError):
    """Bytes from which the next frame cannot be found; the connection is of no more use."""

    def __init__(self, protocol: str, byte: int, reason: str) -> None:
        super().__init__(f"{protocol}: byte {byte}: {reason}")
        self.protocol = protocol
        self.byte = byte
        self.reason = reason


class Decoder(Protocol):
    """One connection's worth of decoding. ``frame_max`` bounds the bytes it keeps between calls."""

    frame_max: int

    def feed(self, chunk: bytes, received_ms: int) -> Decoded:
        """Take bytes cut anywhere.

        Raises:
            FramingError: if no further frame can be found.
            RuntimeError: if a sign-in still waits for ``accept`` or ``refuse``.
        """

    def accept(self) -> Decoded:
        """Let the device that asked in; returns its answer and what came after it."""

    def refuse(self, reason: Refusal) -> Decoded:
        """Turn the device away; returns its answer. What came after it is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request as values: ``query`` still encoded; ``headers``: content-type and authorization, if sent."""

    method: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP response: status and plain text."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an HTTP request says: who, and which fixes. Records that could not be taken are in ``refused``."""

    sign_in: SignIn
    fixes: Sequence[Fix]
    refused: Sequence[Refusal] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRequest:
    """A request that cannot be taken: why, and the answer that says so."""

    refusal: Refusal
    answer: Answer


class RequestDecoder(Protocol):
    """An HTTP protocol: each request stands alone."""

    def read(self, request: Request) -> Claim | BadRequest:
        """Return what ``request`` says."""

    def stored(self) -> Answer:
        """Return the answer once the fixes are stored."""

    def refused(self, reason: Refusal) -> Answer:
        """Return the answer to a device that is turned away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpsProtocol:
    """A plug-in: one module of this package with ``PROTOCOL = TcpProtocol(...)`` or ``HttpProtocol(...)``."""

    name: str
    default_port: int

    @property
    def transport(self) -> Literal["tcp", "http"]:
        """Say which server carries it."""
        raise NotImplementedError("use TcpProtocol or HttpProtocol")


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProtocol(GpsProtocol):
    """A protocol over a TCP stream."""

    new_decoder: Callable[[], Decoder]

    @property
    def transport(self) -> Literal["tcp", "http"]:
        """Say which server carries it."""
        return "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProtocol(GpsProtocol):
    """A protocol over HTTP requests."""

    new_decoder: Callable[[], RequestDecoder]

    @property
    def transport(self) -> Literal["tcp", "http"]:
        """Say which server carries it."""
        return "http"
