"""A phone in Python, and the same phone in JavaScript: the module of the page, run by Node."""

import base64
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fare.model import MediumId
from fare.phone.own_qr import PhoneKey, own_code
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[3]
CITY = "kyzylorda"
NOON_MS = 1_790_000_000_000
MEDIUM = MediumId("5b" * 16)
YEAR_MS = 365 * 86_400_000


@cache
def private(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


def public(name: str) -> bytes:
    return private(name).public_key().public_bytes_raw()


def key(name: str, *, until_ms: int = NOON_MS + YEAR_MS, medium_id: MediumId = MEDIUM) -> PhoneKey:
    return PhoneKey(public=public(name), medium_id=medium_id, until_ms=until_ms)


def shown(name: str, at_s: float = 0, *, city: str = CITY) -> str:
    return own_code(private(name), city=city, now_ms=NOON_MS + round(at_s * 1_000))


def run_page(script: str, folder: Path) -> object:
    """Run ``script`` with ``page``, the module of the phone's page; return what it gives ``say``."""
    library = ROOT / "vendor" / "node_modules" / "qr" / "index.js"
    if shutil.which("node") is None or not library.exists():
        pytest.skip("no Node on this machine, or browser files are missing: make vendor")
    source = ROOT / "fare" / "web" / "phone"
    module = folder / "own_qr.js"
    text = (source / "own_qr.js").read_text(encoding="utf-8")
    module.write_text(text.replace("/vendor/qr/index.js", library.resolve().as_uri()), encoding="utf-8")
    shutil.copy(source / "codes.js", folder)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    program = f"""
        import * as page from {json.dumps(module.as_uri())};
        const say = (value) => process.stdout.write(JSON.stringify(value));
        const base64 = (bytes) => Buffer.from(bytes).toString("base64");
        {script}
    """
    run = subprocess.run(
        ["node", "--input-type=module", "--eval", program],
        capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    said: object = json.loads(run.stdout)
    return said


def decoded(text: str) -> bytes:
    return base64.b64decode(text)
