"""A phone's QR: who signed it, when, and everything that must not be taken for it."""

import base64
import hashlib
import json
import struct
from pathlib import Path

import cbor2
import pytest
import segno
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cwt import COSE, COSEKey
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fare.phone import base45, cose
from fare.phone.own_qr import (
    PREFIX,
    OwnRefusal,
    PhoneKey,
    context_of,
    listed,
    proves_possession,
    read_own_code,
    unlisted,
)
from tests.fare.phone.phones import CITY, MEDIUM, NOON_MS, decoded, key, private, public, run_page, shown

ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's group: RFC 8032, 5.1


def refusal(text: str, known: PhoneKey | None, at_s: float = 0, *, city: str = CITY) -> OwnRefusal | None:
    code = read_own_code(text)
    if code is None:
        return OwnRefusal.MALFORMED
    return code.refusal(known, city=city, now_ms=NOON_MS + round(at_s * 1_000))


def of_bytes(data: bytes) -> str:
    return PREFIX + base45.encode(data)


def message(name: str = "ann") -> bytes:
    data = base45.decode(shown(name).removeprefix(PREFIX))
    assert data is not None
    return data


def test_a_code_is_taken_from_10_s_before_its_second_until_30_s_after_it() -> None:
    code, ann = shown("ann"), key("ann")
    assert [refusal(code, ann, at_s) for at_s in (-10.001, -10, 0, 30, 30.001)] == [
        OwnRefusal.EARLY, None, None, None, OwnRefusal.OLD,
    ]  # fmt: skip


def test_a_code_is_a_qr_of_version_6_at_level_m_and_a_scanner_nobody_here_wrote_reads_it(tmp_path: Path) -> None:
    drawn = segno.make(shown("ann"), error="m", boost_error=False)
    assert (drawn.version, drawn.error, drawn.mode) == (6, "M", "alphanumeric")
    drawn.save(str(tmp_path / "code.png"), scale=4)
    (read,) = zxingcpp.read_barcodes(Image.open(tmp_path / "code.png"))
    assert read.text == shown("ann")


def test_another_cose_library_reads_and_verifies_it() -> None:
    protected, unprotected, payload = COSE.new().decode_with_headers(
        message(), cose_key("ann"), external_aad=context_of(CITY)
    )
    assert (protected, unprotected) == ({1: -8, 4: cose.key_id_of(public("ann"))}, {})
    assert struct.unpack(">I", payload) == (NOON_MS // 1_000,)


def test_what_another_cose_library_signs_is_taken() -> None:
    signed = COSE.new().encode_and_sign(
        struct.pack(">I", NOON_MS // 1_000),
        cose_key("ann", private=True),
        protected={1: -8, 4: cose.key_id_of(public("ann"))},
        unprotected={},
        external_aad=context_of(CITY),
    )
    assert signed == message()


def test_the_page_in_javascript_makes_the_same_bytes(tmp_path: Path) -> None:
    said = run_page(
        f"""
        const keys = await page.newKeys();
        const code = await page.ownCode(keys, {CITY!r}, {NOON_MS} + 999);
        const svg = page.drawCode(code);
        const exported = await crypto.subtle.exportKey("pkcs8", keys.privateKey).catch(() => "refused");
        say([base64(await page.publicBytes(keys)), code, svg.length > 1000, exported]);
        """,
        tmp_path,
    )
    assert isinstance(said, list)
    known = PhoneKey(public=decoded(said[0]), medium_id=MEDIUM, until_ms=NOON_MS + 1)
    assert refusal(said[1], known) is None
    assert said[2:] == [True, "refused"], "the private key can sign and cannot be read"


def test_a_key_is_registered_by_who_holds_it_now() -> None:
    def proof(code: str, name: str, at_s: float = 0) -> OwnRefusal | None:
        return proves_possession(code, public(name), city=CITY, now_ms=NOON_MS + round(at_s * 1_000))

    assert proof(shown("ann"), "ann") is None
    assert proof(shown("ann"), "bob") is OwnRefusal.UNKNOWN_KEY
    assert proof(shown("ann"), "ann", 31) is OwnRefusal.OLD
    assert proof("AY1:", "ann") is OwnRefusal.MALFORMED


def test_a_key_is_on_a_list_as_60_bytes() -> None:
    ann = key("ann", until_ms=NOON_MS + 7_000)
    number, value = listed(ann)
    assert number.to_bytes(8) == hashlib.sha256(ann.public).digest()[:8]
    assert (len(value), unlisted(value), unlisted(value[1:])) == (52, ann, None)


@given(st.integers(0, len(message()) * 8 - 1))
def test_attack_1_a_bit_flipped_anywhere_is_refused(bit: int) -> None:
    data = bytearray(message())
    data[bit // 8] ^= 1 << bit % 8
    assert refusal(of_bytes(bytes(data)), key("ann")) is not None


@given(st.integers(0, len(shown("ann")) - 1), st.sampled_from(base45.ALPHABET))
def test_attack_1_another_character_anywhere_is_refused(place: int, character: str) -> None:
    text = shown("ann")
    changed = text[:place] + character + text[place + 1 :]
    assert (refusal(changed, key("ann")) is None) == (changed == text)


@pytest.mark.parametrize("algorithm", [b"\xa2\x01\x00\x04\x48", b"\xa2\x01\x05\x04\x48", b"\xa2\x01\x26\x04\x48", b""])
def test_attack_2_no_other_algorithm_and_no_header_without_one_is_read(algorithm: bytes) -> None:
    assert read_own_code(of_bytes(message().replace(b"\xa2\x01\x27\x04\x48", algorithm))) is None


def test_attack_2_a_signature_taken_away_or_replaced_is_refused() -> None:
    data = message()
    assert read_own_code(of_bytes(data[:-64])) is None
    assert read_own_code(of_bytes(data[:-66] + b"\x40")) is None
    assert refusal(of_bytes(data[:-64] + bytes(64)), key("ann")) is OwnRefusal.BAD_SIGNATURE
    mac = hashlib.sha256(public("ann")).digest() * 2
    assert refusal(of_bytes(data[:-64] + mac), key("ann")) is OwnRefusal.BAD_SIGNATURE


def test_attack_3_only_a_registered_key_in_its_time_is_taken() -> None:
    assert refusal(shown("ann"), None) is OwnRefusal.UNKNOWN_KEY, "never registered here, or revoked"
    assert refusal(shown("ann"), key("ann", until_ms=NOON_MS)) is OwnRefusal.KEY_EXPIRED
    assert refusal(shown("ann"), key("bob")) is OwnRefusal.BAD_SIGNATURE, "one key's name with another's signature"


def test_attack_3_a_key_signs_under_no_other_name_than_its_own() -> None:
    signed = COSE.new().encode_and_sign(
        struct.pack(">I", NOON_MS // 1_000),
        cose_key("bob", private=True),
        protected={1: -8, 4: cose.key_id_of(public("ann"))},
        unprotected={},
        external_aad=context_of(CITY),
    )
    assert refusal(of_bytes(signed), key("bob")) is OwnRefusal.BAD_SIGNATURE


def test_attack_4_a_signature_made_malleable_or_cut_is_refused() -> None:
    data = message()
    s = int.from_bytes(data[-32:], "little")
    assert refusal(of_bytes(data[:-32] + (s + ORDER).to_bytes(32, "little")), key("ann")) is OwnRefusal.BAD_SIGNATURE
    for cut in range(1, len(data)):
        assert read_own_code(of_bytes(data[:-cut])) is None


def test_attack_4_what_wycheproof_calls_invalid_is_refused_and_what_it_calls_valid_is_taken() -> None:
    vectors = json.loads(Path(__file__).with_name("wycheproof_ed25519.json").read_text(encoding="utf-8"))["tests"]
    wrong = [
        (one["id"], one["what"])
        for one in vectors
        if cose.verifies(*(bytes.fromhex(one[part]) for part in ("public", "signature", "message"))) != one["valid"]
    ]
    assert (wrong, len(vectors)) == ([], 181)


def test_attack_6_a_screenshot_is_dead_in_half_a_minute() -> None:
    assert refusal(shown("ann"), key("ann"), 31) is OwnRefusal.OLD


def test_attack_7_a_code_of_another_city_is_none_here_even_if_the_key_is_known() -> None:
    assert refusal(shown("ann", city="astana"), key("ann")) is OwnRefusal.BAD_SIGNATURE


def test_attack_7_what_the_key_signed_for_something_else_is_no_code() -> None:
    other = cose.sign1(
        struct.pack(">I", NOON_MS // 1_000), context=b"ayaldama bus 1\0" + CITY.encode(), key=private("ann")
    )
    assert refusal(of_bytes(other), key("ann")) is OwnRefusal.BAD_SIGNATURE


@pytest.mark.parametrize(("clock_s", "said"), [
    (-3_600, OwnRefusal.OLD), (3_600, OwnRefusal.EARLY), (-NOON_MS // 1_000, OwnRefusal.OLD), (-20, None), (10, None),
])  # fmt: skip
def test_attack_8_a_phone_whose_clock_is_wrong_is_told_so(clock_s: int, said: OwnRefusal | None) -> None:
    assert refusal(shown("ann", clock_s), key("ann")) is said


def test_attack_9_no_other_encoding_of_the_same_message_is_read() -> None:
    tag = cbor2.loads(message())
    protected, unprotected, payload, signature = tag.value
    again = cbor2.dumps(tag)
    assert again == message(), "a CBOR library encodes it as we do"
    strange = {
        "untagged": cbor2.dumps(tag.value),
        "trailing byte": again + b"\0",
        "indefinite array": b"\xd2\x9f" + again[2:] + b"\xff",
        "indefinite string": again.replace(b"\x44" + payload, b"\x5f\x44" + payload + b"\xff"),
        "long form of a short length": again.replace(b"\x44" + payload, b"\x58\x04" + payload),
        "nested a hundred deep": b"\xd2" + b"\x81" * 100 + again[1:],
        "nested tag": b"\xd2" + again,
        "a key twice": cbor2.dumps(
            cbor2.CBORTag(18, [b"\xa3\x01\x27\x01\x00" + protected[3:], {}, payload, signature])
        ),
        "something unprotected": cbor2.dumps(cbor2.CBORTag(18, [protected, {4: b"x"}, payload, signature])),
        "a longer payload": cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload + b"\0", signature])),
        "oversized": cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload * 10_000, signature])),
    }
    assert {name for name, data in strange.items() if read_own_code(of_bytes(data)) is not None} == set()


@given(st.one_of(st.text(max_size=300), st.binary(max_size=120).map(of_bytes)))
def test_attack_9_whatever_is_scanned_it_is_a_code_or_none(text: str) -> None:
    assert refusal(text, key("ann")) is not None


def test_attack_10_there_is_no_older_form_to_fall_back_to() -> None:
    for prefix in ("AY0:", "AY2:", "ay1:", "HC1:", ""):
        assert read_own_code(prefix + shown("ann").removeprefix(PREFIX)) is None


# Base45 (RFC 9285, section 4.3 and 4.4)


@pytest.mark.parametrize(("data", "text"), [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581")])
def test_base45_as_the_standard_has_it(data: bytes, text: str) -> None:
    assert (base45.encode(data), base45.decode(text)) == (text, data)


@pytest.mark.parametrize("text", ["GGW", ":::", "A", "BB8A", "bb8", "ÄÖ"])
def test_what_is_no_base45_is_none(text: str) -> None:
    assert base45.decode(text) is None


@given(st.binary(max_size=200))
def test_base45_there_and_back(data: bytes) -> None:
    assert base45.decode(base45.encode(data)) == data


def cose_key(name: str, *, private: bool = False) -> COSEKey:
    def text(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    jwk = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": text(public(name)), "kid": "x"}
    jwk |= {"key_ops": ["sign"], "d": text(seed(name))} if private else {"key_ops": ["verify"]}
    made = COSEKey.from_jwk(jwk)
    made._kid = cose.key_id_of(public(name))  # a JWK's kid is text, ours is bytes
    return made


def seed(name: str) -> bytes:
    held: Ed25519PrivateKey = private(name)
    return held.private_bytes_raw()
