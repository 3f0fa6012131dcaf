"""Which messages are answered at all, and by what one is known again when it comes again. Pure.

SMPP proves no sender: what can be believed is the bind that a message came through. So the sender must be a whole
mobile number of the country (a name, a short code or a number abroad gets silence, which also ends the loop of two
machines that answer each other), and a number that is known to be of one operator is not believed from another one's
bind.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from commons.texts import Language
from fare.media.phone import likely_operator, phone_number
from fare.model import PhoneNumber
from fare.sms.values import Incoming, Taken

MINUTE_MS: Final = 60_000
TENGE: Final = 100

# What libphonenumber calls the holders of ranges, by the names of binds. Numbers are ported: a city that sees many of
# them leaves an operator out, and then only the operator's answer says whose a number is.
RANGES: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})


class SmsRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator of the city sets."""

    short_codes: frozenset[str] = frozenset({"2505"})
    ranges: Mapping[str, frozenset[str]] = RANGES  # by bind; all that are named anywhere are of nobody else
    language: Language = "kk"  # until a rider chooses
    riders_max: int = 10
    window_ms: int = MINUTE_MS
    messages_max: int = 10  # of one number within ``window_ms``
    wrong_window_ms: int = 10 * MINUTE_MS
    wrong_max: int = 5  # numbers that nothing has, and texts that say nothing, within ``wrong_window_ms``
    late_max_ms: int = 10 * MINUTE_MS  # as for rides: what costs money is refused after that
    top_up_least_tiyn: int = 100 * TENGE
    top_up_most_tiyn: int = 10_000 * TENGE
    again_ms: int = 3 * MINUTE_MS  # a message without a name and time of its own, word for word again, is a repetition


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is answered. ``same``: further keys under which it may have come before."""

    number: PhoneNumber
    key: str
    same: tuple[str, ...]
    asked_ms: int  # when it was sent, as far as can be believed: never later than it came


def accept(incoming: Incoming, rules: SmsRules) -> Accepted | Taken:
    """Return by what a message is known, or why it gets no answer."""
    if incoming.short_code not in rules.short_codes:
        return Taken.NOT_OUR_CODE
    number = phone_number(incoming.sender)
    if number is None:
        return Taken.NOBODY
    if _is_of_another(number, incoming.operator, rules.ranges):
        return Taken.OTHER_OPERATOR
    sent_ms = incoming.sent_ms if incoming.sent_ms is not None else incoming.received_ms
    key, *same = _keys(incoming, number, rules)
    return Accepted(number=number, key=key, same=tuple(same), asked_ms=min(sent_ms, incoming.received_ms))


def _is_of_another(number: PhoneNumber, operator: str, ranges: Mapping[str, frozenset[str]]) -> bool:
    holder = likely_operator(number)
    return any(holder in held for held in ranges.values()) and holder not in ranges.get(operator, frozenset())


def _keys(incoming: Incoming, number: PhoneNumber, rules: SmsRules) -> list[str]:
    """Return the key of a message, and those that it could have had when it came before.

    Centres count their names anew after a while, so a name counts together with sender and text.
    """
    if incoming.message_id:
        said: list[object] = [("id", incoming.operator, incoming.message_id)]
    elif incoming.sent_ms is not None:
        said = [("sent", incoming.sent_ms)]
    else:
        part = incoming.received_ms // rules.again_ms
        said = [("came", part), ("came", part - 1)]
    about = (number, incoming.short_code, incoming.text)
    return [hashlib.sha256(repr((one, about)).encode()).hexdigest()[:32] for one in said]
