"""The contract of every GPS protocol, over ``discover()``: a new decoder is tested as soon as its file is there.

Evidence lies in ``captures/<protocol>/*.txt``, written by us from the specification's fields. A line is
``# comment``, ``> what the tracker sends`` (braces frame what a checksum covers), ``? device key [how it is refused]``,
``= a fix``, ``! a refusal``, ``< the answer`` or ``x`` (the connection ends). For HTTP ``>`` is
``METHOD query [content-type body]`` and ``<`` is ``status text``.
"""

import itertools
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transit.protocols import discover
from transit.protocols._base import (
    Answer,
    BadRequest,
    Claim,
    Decoded,
    Decoder,
    Fix,
    FramingError,
    HttpProtocol,
    Refusal,
    Request,
    RequestDecoder,
    TcpProtocol,
)

CAPTURES = Path(__file__).parent / "captures"
DOCS = Path(__file__).parents[3] / "docs" / "protocols"
TCP = {name: protocol for name, protocol in discover().items() if isinstance(protocol, TcpProtocol)}
HTTP = {name: protocol for name, protocol in discover().items() if isinstance(protocol, HttpProtocol)}
NOW_MS = 1_800_000_000_000


@dataclass
class Heard:
    """What a conversation came to."""

    sign_ins: list[str] = field(default_factory=list)
    fixes: list[Fix] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    reply: bytes = b""
    closed: bool = False


@dataclass
class Capture:
    """A capture file: what is sent, how each sign-in is decided, what must come of it."""

    sent: list[bytes] = field(default_factory=list)
    checked: list[tuple[int, range]] = field(default_factory=list)  # packet, and its bytes under a checksum
    decisions: list[str] = field(default_factory=list)
    expected: Heard = field(default_factory=Heard)

    @property
    def stream(self) -> bytes:
        return b"".join(self.sent)


def read_capture(path: Path) -> Capture:
    capture = Capture()
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, _, text = line.partition(" ")
        if kind == ">":
            packet = text.encode("ascii").decode("unicode_escape").encode("latin-1")
            framed = re.search(rb"\{(.*)\}", packet)
            if framed:
                capture.checked.append((len(capture.sent), range(framed.start(), framed.end() - 2)))
            capture.sent.append(packet.replace(b"{", b"").replace(b"}", b""))
        elif kind == "?":
            device, key, *decision = text.split(" ")
            capture.expected.sign_ins.append(f"{device} {key}")
            capture.decisions.append(decision[0] if decision else "accepted")
        elif kind == "=":
            capture.expected.fixes.append(fix_of(text))
        elif kind == "!":
            capture.expected.refused.append(text)
        elif kind == "<":
            capture.expected.reply += text.encode("ascii").decode("unicode_escape").encode("latin-1")
        elif kind == "x":
            capture.expected.closed = True
        else:
            assert kind == "#", f"{path.name}: {line}"
    return capture


def fix_of(text: str) -> Fix:
    values = dict(pair.split("=", 1) for pair in text.split(" "))
    return Fix(
        fix_ms=int(values.pop("fix_ms")),
        lat=float(values.pop("lat")),
        lon=float(values.pop("lon")),
        speed_mps=float(values.pop("speed_mps")) if "speed_mps" in values else None,
        heading_deg=float(values.pop("heading_deg")) if "heading_deg" in values else None,
        archived=values.pop("archived", "") == "True",
        direction_id=int(values.pop("direction_id", "-1")),
        **values,
    )


def same(fix: Fix, expected: Fix) -> bool:
    def rounded(one: Fix) -> list[object]:
        parts = [getattr(one, name) for name in one.__struct_fields__]
        return [round(part, 4) if isinstance(part, float) else part for part in parts]

    return rounded(fix) == rounded(expected)


def converse(decoder: Decoder, chunks: Sequence[bytes], decisions: Sequence[str]) -> Heard:
    """Do what the edge does: feed, decide sign-ins, stop when the decoder says so."""
    heard = Heard()
    waiting = list(decisions)

    def take(decoded: Decoded) -> None:
        while True:
            heard.fixes.extend(decoded.fixes)
            heard.refused.extend(decoded.refused)
            heard.reply += decoded.reply
            heard.closed = heard.closed or decoded.close
            if decoded.sign_in is None:
                return
            heard.sign_ins.append(f"{decoded.sign_in.device_id} {decoded.sign_in.key}")
            decision = waiting.pop(0) if waiting else "accepted"
            decoded = decoder.accept() if decision == "accepted" else decoder.refuse(Refusal(decision))

    for chunk in chunks:
        if heard.closed:
            break
        take(decoder.feed(chunk, NOW_MS))
    return heard


def captures(protocols: Sequence[str]) -> list[object]:
    return [
        pytest.param(name, path, id=f"{name}/{path.stem}")
        for name in protocols
        for path in sorted((CAPTURES / name).glob("*.txt"))
    ]


def assert_heard(heard: Heard, expected: Heard) -> None:
    assert heard.refused == expected.refused
    assert len(heard.fixes) == len(expected.fixes)
    for fix, wanted in zip(heard.fixes, expected.fixes, strict=True):
        assert same(fix, wanted), f"{fix} is not {wanted}"
    assert heard.sign_ins == expected.sign_ins
    assert heard.reply == expected.reply
    assert heard.closed == expected.closed


@pytest.mark.parametrize("name", discover())
def test_every_protocol_has_evidence_and_a_page(name: str) -> None:
    assert discover()[name].name == name
    texts = [path.read_text(encoding="utf-8") for path in (CAPTURES / name).glob("*.txt")]
    assert any("\n= " in text for text in texts), "a capture with a fix"
    assert any("\n! no_time\n" in text and "\n= " not in text for text in texts), "a capture of a fix without a time"
    assert (DOCS / f"{name}.md").is_file()


@pytest.mark.parametrize(("name", "path"), captures(list(TCP)))
def test_a_capture_is_understood_and_answered_as_written(name: str, path: Path) -> None:
    capture = read_capture(path)
    assert_heard(converse(TCP[name].new_decoder(), capture.sent, capture.decisions), capture.expected)


@pytest.mark.parametrize(("name", "path"), captures(list(TCP)))
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_bytes_cut_anywhere_mean_the_same(name: str, path: Path, data: st.DataObject) -> None:
    capture = read_capture(path)
    stream = capture.stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]
    assert_heard(converse(TCP[name].new_decoder(), chunks, capture.decisions), capture.expected)


@pytest.mark.parametrize(("name", "path"), captures(list(TCP)))
def test_any_flipped_bit_under_a_checksum_is_found(name: str, path: Path) -> None:
    capture = read_capture(path)
    for number, span in capture.checked:
        before, packet, after = capture.sent[:number], capture.sent[number], capture.sent[number + 1 :]
        without = converse(TCP[name].new_decoder(), [*before, *after], capture.decisions)
        for at, bit in itertools.product(span, range(8)):
            broken = bytearray(packet)
            broken[at] ^= 1 << bit
            heard = converse(TCP[name].new_decoder(), [*before, bytes(broken), *after], capture.decisions)
            assert heard.refused.count("checksum") == 1, f"packet {number}, byte {at}, bit {bit}: {heard}"
            assert heard.fixes == without.fixes


@pytest.mark.parametrize("name", TCP)
def test_rubbish_raises_nothing_but_framing_errors_and_fills_no_memory(name: str) -> None:
    """1,000 frames: random bytes, and captures cut, doubled, overwritten and run together; signed in or not."""
    dice = random.Random(20_260_921)  # noqa: S311 - rubbish, not secrets
    known = [packet for path in (CAPTURES / name).glob("*.txt") for packet in read_capture(path).sent]
    decoder = TCP[name].new_decoder()
    for number in range(1_000):
        if number % 50 == 0:
            decoder = TCP[name].new_decoder()
        frame = rubbish(dice, known)
        try:
            heard = converse(decoder, [frame], [dice.choice(["accepted", "accepted", "wrong_key"])] * 100)
        except FramingError:
            decoder = TCP[name].new_decoder()
            continue
        assert all(
            isinstance(fix.fix_ms, int) and -90 <= fix.lat <= 90 and -180 <= fix.lon <= 180 for fix in heard.fixes
        )
        assert kept_bytes(decoder) <= decoder.frame_max


@pytest.mark.parametrize("name", TCP)
def test_a_frame_without_end_is_a_framing_error_before_it_fills_memory(name: str) -> None:
    decoder = TCP[name].new_decoder()
    first = next(path for path in sorted((CAPTURES / name).glob("*.txt")) if "\n= " in path.read_text(encoding="utf-8"))
    converse(decoder, read_capture(first).sent[:1], ["accepted"])
    with pytest.raises(FramingError, match=name):
        drown(decoder, decoder.frame_max)
    with pytest.raises(FramingError):  # a stranger may not make us keep even that
        drown(TCP[name].new_decoder(), 8_000)


def drown(decoder: Decoder, limit: int) -> None:
    """Feed a little more than ``limit`` bytes that end no frame."""
    for _ in range(limit // 1_000 + 2):
        decoder.feed(b"1" * 1_000, NOW_MS)
        assert kept_bytes(decoder) <= decoder.frame_max


@pytest.mark.parametrize("name", TCP)
def test_a_decoder_does_not_go_on_before_its_sign_in_is_decided(name: str) -> None:
    path = next(path for path in (CAPTURES / name).glob("*.txt") if "\n? " in path.read_text(encoding="utf-8"))
    decoder = TCP[name].new_decoder()
    assert decoder.feed(read_capture(path).sent[0], NOW_MS).sign_in is not None
    with pytest.raises(RuntimeError, match="sign-in"):
        decoder.feed(b"x", NOW_MS)


@pytest.mark.parametrize(("name", "path"), captures(list(HTTP)))
def test_a_request_is_understood_and_answered_as_written(name: str, path: Path) -> None:
    decoder = HTTP[name].new_decoder()
    for request, wanted in exchanges(path):
        heard, answer = ask(decoder, request, wanted.decisions[0] if wanted.decisions else "accepted")
        expected = wanted.expected
        status, _, text = expected.reply.decode().partition(" ")
        assert answer.status == int(status), answer
        assert answer.text.startswith(text)
        assert (heard.fixes == []) == (expected.fixes == [])
        assert all(same(fix, one) for fix, one in zip(heard.fixes, expected.fixes, strict=True)), heard.fixes
        if heard.sign_ins:
            assert heard.sign_ins == [one.replace(" -", " ") for one in expected.sign_ins]
        assert heard.refused == [*expected.refused, *[d for d in wanted.decisions if d != "accepted"]]


@pytest.mark.parametrize("name", HTTP)
def test_rubbish_requests_are_answered_with_an_error_and_raise_nothing(name: str) -> None:
    dice = random.Random(20_260_922)  # noqa: S311 - rubbish, not secrets
    decoder = HTTP[name].new_decoder()
    known = [request for path in sorted((CAPTURES / name).glob("*.txt")) for request, _ in exchanges(path)]
    for _ in range(1_000):
        request = dice.choice(known)
        broken = Request(
            method=dice.choice(["GET", "POST", "PUT", request.method]),
            query=rubbish(dice, [request.query.encode()]).decode("latin-1"),
            headers=dice.choice(
                [request.headers, {}, {"authorization": rubbish(dice, [b"Basic QQ=="]).decode("latin-1")}]
            ),
            body=rubbish(dice, [request.body]) if request.body else b"",
        )
        outcome = decoder.read(broken)
        if isinstance(outcome, BadRequest):
            assert 400 <= outcome.answer.status < 500
            assert len(outcome.answer.text) < 400
        else:
            assert all(-90 <= fix.lat <= 90 and -180 <= fix.lon <= 180 for fix in outcome.fixes)


@pytest.mark.parametrize("name", HTTP)
def test_a_body_nested_without_end_is_an_error(name: str) -> None:
    body = b'{"x":' + b"[" * 100_000
    outcome = HTTP[name].new_decoder().read(Request(method="POST", query="", headers={}, body=body))
    assert isinstance(outcome, BadRequest)


def exchanges(path: Path) -> Iterator[tuple[Request, Capture]]:
    """Split an HTTP capture into its requests and what belongs to each."""
    for part in re.split(r"^(?=> )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        first, _, rest = part.partition("\n")
        method, query, *typed = first.removeprefix("> ").split(" ", 3)
        content_type, body = typed or ("", "")
        headers = {"content-type": content_type} if content_type else {}
        capture = Capture()
        for line in rest.splitlines():
            kind, _, text = line.partition(" ")
            if kind == "?":
                device, key, *decision = text.split(" ")
                capture.expected.sign_ins.append(f"{device} {key}")
                capture.decisions.append(decision[0] if decision else "accepted")
            elif kind == "=":
                capture.expected.fixes.append(fix_of(text))
            elif kind == "!":
                capture.expected.refused.append(text)
            elif kind == "<":
                capture.expected.reply = text.encode()
        yield Request(method=method, query="" if query == "-" else query, headers=headers, body=body.encode()), capture


def ask(decoder: RequestDecoder, request: Request, decision: str) -> tuple[Heard, Answer]:
    """Do what the edge does with one request."""
    outcome: Claim | BadRequest = decoder.read(request)
    if isinstance(outcome, BadRequest):
        return Heard(refused=[outcome.refusal]), outcome.answer
    who = [f"{outcome.sign_in.device_id} {outcome.sign_in.key}"]
    if decision != "accepted":
        return Heard(sign_ins=who, refused=[decision]), decoder.refused(Refusal(decision))
    return Heard(sign_ins=who, fixes=list(outcome.fixes), refused=list(outcome.refused)), decoder.stored()


def rubbish(dice: random.Random, known: Sequence[bytes]) -> bytes:
    packet = bytearray(dice.choice(known))
    kind = dice.randrange(5)
    if kind == 0:
        return dice.randbytes(dice.randrange(1, 2_000))
    if kind == 1:
        return bytes(packet[: dice.randrange(len(packet) + 1)])
    if kind == 2 and packet:
        for _ in range(dice.randrange(1, 6)):
            packet[dice.randrange(len(packet))] = dice.randrange(256)
        return bytes(packet)
    if kind == 3:
        return bytes(packet) + dice.randbytes(dice.randrange(50)) + b"\r\n" + bytes(dice.choice(known))
    return bytes(packet[dice.randrange(len(packet) + 1) :]) * 2


def kept_bytes(decoder: Decoder) -> int:
    """Return how many bytes a decoder keeps of what it was fed."""
    kept = [value for value in vars(decoder).values() if isinstance(value, bytes | bytearray | list)]
    return sum(sys.getsizeof(value) - sys.getsizeof(type(value)()) for value in kept)
