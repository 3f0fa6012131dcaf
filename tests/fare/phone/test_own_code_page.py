"""The inspector's page reads a phone's code as the server does, also one that somebody has tampered with."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from fare.phone import base45
from fare.phone.own_qr import PREFIX, read_own_code
from tests.fare.phone.phones import CITY, NOON_MS, ROOT, key, public, shown
from tests.patience import PATIENCE_S

PAGES = ROOT / "fare" / "web"


def tampered() -> list[str]:
    """Return a live code and all that differ from it in one bit, are cut or longer, or are written otherwise."""
    code = shown("ann")
    data = base45.decode(code.removeprefix(PREFIX))
    assert data is not None
    flipped = [
        data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :] for bit in range(8 * len(data))
    ]
    cut = [data[:end] for end in range(len(data))]
    longer = [
        data + b"\0",
        data[:18] + b"\x58\x04" + data[19:],
        data[:18] + b"\x5f" + data[18:22] + b"\xff" + data[22:],
    ]
    others = [
        code.lower(),
        code[4:],
        f" {code}\n",
        code[:-1],
        code + "A",
        code + "::",
        "AY2" + code[3:],
        "",
        "ÄY1:",
        "AY1:",
    ]
    strangers = [shown("bob"), shown("ann", city="astana"), shown("ann", -31), shown("ann", 11), shown("ann", 9)]
    return [code, *others, *strangers, *(PREFIX + base45.encode(one) for one in (*flipped, *cut, *longer))]


def test_both_read_the_same_and_take_the_same(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("no Node on this machine")
    for file in (PAGES / "inspector" / "own_code.js", PAGES / "phone" / "codes.js"):
        shutil.copy(file, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    script = f"""
        import {{ isLive, isSignedBy, readOwnCode }} from {json.dumps((tmp_path / "own_code.js").as_uri())};
        const ann = Uint8Array.from(Buffer.from("{public("ann").hex()}", "hex"));
        const said = [];
        for (const text of JSON.parse(await new Response(process.stdin).text())) {{
          const code = readOwnCode(text);
          const taken = code !== null && isLive(code, {NOON_MS}) && (await isSignedBy(code, ann, "{CITY}"));
          said.push([code && [code.keyId, code.second], taken]);
        }}
        process.stdout.write(JSON.stringify(said));
    """
    asked = tampered()
    run = subprocess.run(
        ["node", "--input-type=module", "--eval", script],
        input=json.dumps(asked), capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    by_server = []
    for text in asked:
        code = read_own_code(text)
        taken = code is not None and code.refusal(key("ann"), city=CITY, now_ms=NOON_MS) is None
        by_server.append([None if code is None else [code.key_id, code.second], taken])
    assert json.loads(run.stdout) == by_server
    assert [text for text, (_, taken) in zip(asked, by_server, strict=True) if taken] == [
        shown("ann"), f" {shown('ann')}\n", shown("ann", 9),
    ]  # fmt: skip
