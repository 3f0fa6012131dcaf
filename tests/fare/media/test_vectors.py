"""Published vectors that nobody here wrote. Files are those of the package cryptography-vectors, named in each test."""

import importlib.resources
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from desfire.diversify import diversify_key
from hypothesis import given
from hypothesis import strategies as st

from fare.media.diversify import diversify_aes128
from fare.media.secure_channel import SecureChannel


def lines(*path: str) -> Iterator[str]:
    file = importlib.resources.files("cryptography_vectors").joinpath(*path)
    yield from file.read_text(encoding="utf-8").splitlines()


def records(*path: str) -> Iterator[dict[str, str]]:
    """Yield the blocks of ``NAME = value`` lines that a file has, each begun by COUNT."""
    record: dict[str, str] = {}
    for line in lines(*path):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or line.startswith("#"):
            continue
        if name == "COUNT" and record:
            yield record
            record = {}
        record[name.lower()] = value.strip('"')
    yield record


def test_an10922_aes_128() -> None:
    """NXP AN10922, section 2.2.1: UID 04782E21801D80, application 3042F5, system identifier "NXP Abu"."""
    master_key = bytes.fromhex("00112233445566778899aabbccddeeff")
    diversification = bytes.fromhex("04782e21801d803042f5") + b"NXP Abu"
    assert diversify_aes128(master_key, diversification).hex() == "a8dd63a3b89d54b37ca802473fda9175"


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=30))
def test_an10922_as_python_desfire_has_it(master_key: bytes, diversification: bytes) -> None:
    theirs = diversify_key(list(master_key), [1, *diversification])
    assert diversify_aes128(master_key, diversification) == bytes(theirs)


@pytest.mark.parametrize(("key", "diversification"), [(15, 17), (16, 15), (16, 32)])
def test_an10922_takes_no_other_lengths(key: int, diversification: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        diversify_aes128(bytes(key), bytes(diversification))


def test_nist_sp_800_38b_cmac_with_aes_128() -> None:
    """CMAC/nist-800-38b-aes128.txt"""
    found = list(records("CMAC", "nist-800-38b-aes128.txt"))
    assert len(found) == 4
    for record in found:
        channel = SecureChannel(bytes.fromhex(record["key"]))
        assert channel.mac(bytes.fromhex(record["message"])).hex() == record["output"].lower()


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=70))
def test_the_first_cmac_of_a_channel_is_openssls(key: bytes, message: bytes) -> None:
    openssl = CMAC(AES128(key))
    openssl.update(message)
    assert SecureChannel(key).mac(message) == openssl.finalize()


def test_rfc_8032_ed25519() -> None:
    """asymmetric/Ed25519/sign.input, the 1,024 cases of the RFC's authors: seed and key, key, message, signature."""
    checked = 0
    for line in lines("asymmetric", "Ed25519", "sign.input"):
        seed_and_key, key, message, signature_and_message, _ = line.split(":")
        private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed_and_key)[:32])
        signature = private.sign(bytes.fromhex(message))
        assert (signature.hex(), private.public_key().public_bytes_raw().hex()) == (signature_and_message[:128], key)
        private.public_key().verify(signature, bytes.fromhex(message))
        checked += 1
    assert checked == 1_024


def test_rfc_4226_hotp() -> None:
    """twofactor/rfc-4226.txt"""
    found = list(records("twofactor", "rfc-4226.txt"))
    assert len(found) == 10
    for record in found:
        hotp = HOTP(record["secret"].encode(), 6, SHA1(), enforce_key_length=False)  # noqa: S303 - the RFC's own hash
        assert hotp.generate(int(record["count"])).decode() == record["hotp"]


def test_rfc_6238_totp() -> None:
    """twofactor/rfc-6238.txt"""
    hashes: dict[str, HashAlgorithm] = {"SHA1": SHA1(), "SHA256": SHA256(), "SHA512": SHA512()}  # noqa: S303
    found = list(records("twofactor", "rfc-6238.txt"))
    assert len(found) == 18
    for record in found:
        totp = TOTP(record["secret"].encode(), 8, hashes[record["mode"]], 30, enforce_key_length=False)
        assert totp.generate(int(record["time"])).decode() == record["totp"]
