"""What was agreed with mobile operators, read from the file that ``sms.gateways`` names: TOML, with passwords.

One table per agreement: ``[[smpp]]``, ``[[kannel]]`` or ``[[webhook]]`` for messages, ``[[charging]]`` for an operator
that charges its numbers' accounts; ``[ranges]`` names the holders of number ranges by operator, so that a number of one
is not believed from another's bind. Each operator has one way for messages: answers go back the way that they came.
"""

from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from fare.gateways.smpp import SmppBind
from fare.gateways.sms_kannel import KannelGateway
from fare.gateways.sms_webhook import WebhookGateway

READABLE_BY_OTHERS: Final = 0o077


class SmsGatewaysError(ValueError):
    """The file cannot be used; the message says where and why, and holds no password."""


class Charging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an operator charges its numbers' accounts."""

    operator: str
    url: str
    secret: str

    def __repr__(self) -> str:
        """Show where, and no secret."""
        return f"Charging({self.operator} at {self.url})"


class SmsGateways(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All agreements.

    Raises:
        ValueError: if an operator has two ways.
    """

    smpp: tuple[SmppBind, ...] = ()
    kannel: tuple[KannelGateway, ...] = ()
    webhook: tuple[WebhookGateway, ...] = ()
    charging: tuple[Charging, ...] = ()
    ranges: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)  # ``fare.sms.acceptance.SmsRules``

    def __post_init__(self) -> None:
        """Refuse what leaves open which way an answer goes."""
        messages = [one.operator for one in self.smpp]
        messages += [one.operator for one in self.kannel]
        messages += [one.operator for one in self.webhook]
        for names in (messages, [one.operator for one in self.charging]):
            for operator, count in Counter(names).items():
                if not operator.isascii() or not operator.isidentifier():
                    raise ValueError(f"operator must be a name of letters, digits and underscores: {operator!r}")
                if count > 1:
                    raise ValueError(f"operator {operator} is named {count} times")


def read_gateways(path: Path) -> SmsGateways:
    """Return what ``path`` says.

    Raises:
        SmsGatewaysError: if it cannot be read, others may read it, or something in it is wrong.
    """
    try:
        mode, raw = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise SmsGatewaysError(f"sms.gateways: {path}: {error.strerror}") from error
    if mode & READABLE_BY_OTHERS:
        raise SmsGatewaysError(f"sms.gateways: {path} holds passwords and others may read it: chmod 600 {path}")
    try:
        return msgspec.toml.decode(raw, type=SmsGateways)
    except msgspec.DecodeError as error:
        raise SmsGatewaysError(f"sms.gateways: {path}: {error}") from None  # its cause would show the file
