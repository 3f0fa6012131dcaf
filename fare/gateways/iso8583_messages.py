"""Messages to an acquirer in ISO 8583:1987: ASCII fields, binary bitmaps, a binary length of 2 bytes before each. Pure.

=====  ===========================================================================================================
0100   authorisation → 0110. Fields 3, 4, 7, 11, 22, 25, 37, 41, 42, 48, 49
0220   capture of an authorised amount, an advice → 0230; said again as 0221. As 0100, and 38 (approval), 90 (original)
0200   refund, processing code 20 → 0210. As 0220
0400   reversal → 0410; said again as 0401. As 0220. Where the acquirer takes advices only: 0420 → 0430, 0421
0800   network management → 0810, also asked by the acquirer. Field 70: 001 sign on, 301 echo
=====  ===========================================================================================================

Field 2, the card number, is never written. The token that the certified reader made goes in field 48 as ``TK`` +
length in 3 digits + value, and what the money is for as ``FK``. The codec is pyiso8583; field and code meanings are
those of ISO 8583:1987 (ISO 8583-1:2003 for the codes added since).
"""

import copy
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import iso8583
from iso8583.specs import default_ascii

from fare.gateways.acquirer import Asked, Attempt, CardResult, Trace
from fare.risk.values import Answered, Decline

LENGTH_BYTES: Final = 2
MESSAGE_MAX: Final = 4_096
STAN_MAX: Final = 999_999
TENGE: Final = "398"  # ISO 4217

SIGN_ON: Final = "001"
ECHO: Final = "301"

APPROVED: Final = "00"
NO_ORIGINAL: Final = "25"  # of a reversal: the acquirer never had the request, so nothing is left to take back

_MTI: Final[Mapping[Asked, str]] = {
    Asked.AUTHORISE: "0100",
    Asked.CAPTURE: "0220",
    Asked.REFUND: "0200",
}
_REFUND_CODE: Final = "200000"
_PURCHASE_CODE: Final = "000000"
_CONTACTLESS_CHIP: Final = "071"  # field 22: contactless chip, terminal can take a PIN
_DECLINES: Final[Mapping[str, Decline]] = {
    "51": Decline.INSUFFICIENT_FUNDS,
    "61": Decline.OVER_LIMIT,
    "65": Decline.OVER_LIMIT,
    "33": Decline.EXPIRED_CARD,
    "54": Decline.EXPIRED_CARD,
    "04": Decline.LOST_OR_STOLEN,
    "07": Decline.LOST_OR_STOLEN,
    "34": Decline.LOST_OR_STOLEN,
    "41": Decline.LOST_OR_STOLEN,
    "43": Decline.LOST_OR_STOLEN,
    "14": Decline.INVALID_CARD,
    "15": Decline.INVALID_CARD,
    "68": Decline.ISSUER_UNAVAILABLE,
    "91": Decline.ISSUER_UNAVAILABLE,
    "92": Decline.ISSUER_UNAVAILABLE,
    "96": Decline.ISSUER_UNAVAILABLE,
    "12": Decline.REFUSED_REQUEST,
    "13": Decline.REFUSED_REQUEST,
    "30": Decline.REFUSED_REQUEST,
    "94": Decline.REFUSED_REQUEST,  # transmitted twice
}


def _specification() -> Mapping[str, Mapping[str, Any]]:
    specification = copy.deepcopy(default_ascii)
    specification["p"].update(data_enc="b", max_len=8)
    specification["1"].update(data_enc="b", max_len=8)
    return specification


SPECIFICATION: Final = _specification()


class MessageError(ValueError):
    """Bytes that are no message of ours: the connection is of no more use."""


Message = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What differs between acquirers that speak alike."""

    merchant_id: str  # field 42, up to 15 characters
    reversal: Literal["0400", "0420"] = "0400"

    def mti(self, asked: Asked) -> str:
        """Return the type of the message that asks for ``asked``."""
        return self.reversal if asked is Asked.REVERSE else _MTI[asked]


def of_attempt(attempt: Attempt, original: Attempt | None, dialect: Dialect) -> dict[str, str]:
    """Return the message that asks for ``attempt``; ``original`` is the authorisation or refund that it is of."""
    request = attempt.request
    message = _head(dialect.mti(request.asked), attempt.trace) | {
        "3": _REFUND_CODE if request.asked is Asked.REFUND else _PURCHASE_CODE,
        "4": f"{request.amount_tiyn:012d}",
        "22": _CONTACTLESS_CHIP,
        "25": "00",
        "37": reference(attempt.trace),
        "41": f"{request.terminal_id:<8.8}",
        "42": f"{dialect.merchant_id:<15.15}",
        "48": _private(TK=request.card_token, FK=request.fare_kind.value),
        "49": TENGE,
    }
    if original is not None:
        message["90"] = _original_elements(dialect.mti(original.request.asked), original.trace)
        if original.result is not None and original.result.approval:
            message["38"] = f"{original.result.approval:<6.6}"
    return message


def said_again(message: Message) -> dict[str, str]:
    """Return ``message`` as a repeat of itself: same number and content, last digit of the type 1."""
    return {**message, "t": message["t"][:3] + "1"}


def network_management(code: str, trace: Trace) -> dict[str, str]:
    """Return a sign-on or echo."""
    return _head("0800", trace) | {"70": code}


def answered(request: Message) -> dict[str, str]:
    """Return our answer to the acquirer's own network management: we are here."""
    echoed = {name: request[name] for name in ("7", "11", "70") if name in request}
    return {"t": "0810", **echoed, "39": APPROVED}


def encoded(message: Message) -> bytes:
    """Return ``message`` with its length before it.

    Raises:
        MessageError: if a field does not fit.
    """
    try:
        raw, _ = iso8583.encode(dict(message), SPECIFICATION)
    except iso8583.EncodeError as error:
        raise MessageError(f"iso8583: {error}") from error
    return len(raw).to_bytes(LENGTH_BYTES, "big") + bytes(raw)


def decoded(raw: bytes) -> dict[str, str]:
    """Return the message that ``raw``, without its length, says.

    Raises:
        MessageError: if it is none.
    """
    try:
        message, _ = iso8583.decode(raw, SPECIFICATION)
    except iso8583.DecodeError as error:
        raise MessageError(f"iso8583: {len(raw)} bytes: {error.msg}") from error
    return dict(message)


def answers(request: Message) -> tuple[str, str, str, str]:
    """Return what an answer to ``request`` is known by: class and function, number, time, terminal."""
    kind = request["t"][:2] + str(int(request["t"][2]) + 1)
    return kind, request.get("11", ""), request.get("7", ""), request.get("41", "")


def is_answer(message: Message) -> tuple[str, str, str, str]:
    """Return what ``message``, an answer, is known by."""
    return message["t"][:3], message.get("11", ""), message.get("7", ""), message.get("41", "")


def result_of(answer: Message) -> CardResult:
    """Return what ``answer`` says of the request it belongs to."""
    code = answer.get("39", "")
    approved = code == APPROVED or (code == NO_ORIGINAL and answer["t"].startswith("04"))
    return CardResult(
        answered=Answered.APPROVED if approved else Answered.DECLINED,
        decline=None if approved else _DECLINES.get(code, Decline.OTHER),
        code=code,
        approval=answer.get("38", "").strip(),
        reference=answer.get("37", "").strip(),
    )


def reference(trace: Trace) -> str:
    """Return the retrieval reference of ``trace``: last digit of the year, day of year, hour, number (field 37)."""
    sent = _utc(trace.sent_ms)
    return f"{sent.year % 10}{sent.timetuple().tm_yday:03d}{sent.hour:02d}{trace.stan:06d}"


def _head(mti: str, trace: Trace) -> dict[str, str]:
    return {"t": mti, "7": f"{_utc(trace.sent_ms):%m%d%H%M%S}", "11": f"{trace.stan:06d}"}


def _original_elements(mti: str, trace: Trace) -> str:
    return f"{mti}{trace.stan:06d}{_utc(trace.sent_ms):%m%d%H%M%S}".ljust(42, "0")


def _private(**values: str) -> str:
    return "".join(f"{tag}{len(value):03d}{value}" for tag, value in values.items())


def _utc(at_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ms / 1_000, tz=dt.UTC)
