"""What SMS of the demo need before they run: agreements with two operators that do not exist."""

import json
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from ayaldama.demo_sms.phones import BEELINE, KCELL, OPERATORS
from ayaldama.settings import Settings
from ayaldama.sms_gateways import SmsGateways, SmsGatewaysError, read_gateways

CHARGES_PATH: Final = "/operators"  # below the page's address, then the operator's name
RANGES: Final = MappingProxyType({KCELL: ["Kcell/Activ"], BEELINE: ["Beeline"]})  # as libphonenumber names them
PER_S: Final = 50.0


def prepare_sms(settings: Settings, kept: Path) -> Settings:
    """Return ``settings`` with agreements, which are kept in the file ``kept``.

    Raises:
        OSError: if the disk refuses.
    """
    host, demo = settings.sms.host, settings.demo
    demo = msgspec.structs.replace(
        demo, sms_port=demo.sms_port or _free_port(host), smpp_port=demo.smpp_port or _free_port(host)
    )
    _agree(host, smpp_port=demo.smpp_port, page_port=demo.sms_port, kept=kept)
    return msgspec.structs.replace(settings, demo=demo, sms=msgspec.structs.replace(settings.sms, gateways=kept))


def _agree(host: str, *, smpp_port: int, page_port: int, kept: Path) -> None:
    """Write the agreements at the ports of this start; passwords stay."""
    earlier = _earlier(kept)
    passwords = {bind.operator: bind.password for bind in earlier.smpp}
    shared = {one.operator: one.secret for one in earlier.charging}
    tables: list[str] = []
    for name in OPERATORS:
        bind = {
            "operator": name,
            "host": host,
            "port": smpp_port,
            "system_id": name,
            "password": passwords.get(name) or secrets.token_hex(4),  # SMPP has room for eight characters
            "per_s": PER_S,
        }
        charging = {
            "operator": name,
            "url": f"http://{host}:{page_port}{CHARGES_PATH}/{name}",
            "secret": shared.get(name) or secrets.token_urlsafe(24),
        }
        tables += [_table("[[smpp]]", bind), _table("[[charging]]", charging)]
    tables.append(_table("[ranges]", RANGES))
    kept.touch(mode=0o600)
    kept.write_text("\n".join(tables), encoding="utf-8")


def _table(head: str, values: Mapping[str, object]) -> str:
    """Return a TOML table; of what is in these, JSON is TOML."""
    return "".join([f"{head}\n", *(f"{name} = {json.dumps(value)}\n" for name, value in values.items())])


def _earlier(kept: Path) -> SmsGateways:
    try:
        return read_gateways(kept)
    except SmsGatewaysError:
        return SmsGateways()  # the first start, or a file of another version


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
