"""Enrolment: one code, one key, one city."""

import msgspec
import pytest

from fare.model import DeviceId
from fare.validator.enrolment import (
    FAILURES_MAX,
    FAILURES_MS,
    Code,
    Enrolling,
    EnrolmentRequest,
    FailureLimit,
    IssuedCode,
    answer,
    enrol,
    make_request,
    open_answer,
    open_request,
)
from fare.validator.journal import Head
from fare.validator.signing import Purpose, SigningKey

CITY = SigningKey.from_bytes(b"c" * 32)
DEVICE = SigningKey.from_bytes(b"v" * 32)
OTHER = SigningKey.from_bytes(b"o" * 32)
CODE = Code.make(b"0123456789", CITY.public)
ISSUED = IssuedCode(digest=CODE.digest, device_id=DeviceId("v-1"), vehicle_id="bus-7", expires_ms=1_000)


def request_of(key: SigningKey) -> EnrolmentRequest:
    request = open_request(make_request(CODE, key))
    assert isinstance(request, EnrolmentRequest)
    return request


def test_a_code_is_typed_as_people_type() -> None:
    text = str(CODE)
    assert len(text) == 28 + 6
    assert Code.read(text) == Code.read(f" {text.upper().replace('-', ' ')}\n") == CODE


@pytest.mark.parametrize("text", ["", "abcd", "a" * 27, "a" * 29, "ä" * 28, "a" * 27 + "!"])
def test_what_is_no_code_is_said_so_before_anything_is_sent(text: str) -> None:
    with pytest.raises(ValueError, match="a code has 28 letters and digits"):
        Code.read(text)


def test_a_code_enrols_one_key_once_and_the_same_key_may_ask_again() -> None:
    assert enrol(request_of(DEVICE), ISSUED, 999) is Enrolling.ENROLLED
    used = IssuedCode(
        digest=CODE.digest, device_id=DeviceId("v-1"), vehicle_id="bus-7", expires_ms=1_000, used_by=DEVICE.public
    )
    assert enrol(request_of(DEVICE), used, 5_000) is Enrolling.ENROLLED, "the answer was lost"
    assert enrol(request_of(OTHER), used, 999) is Enrolling.USED
    assert enrol(request_of(DEVICE), ISSUED, 1_000) is Enrolling.EXPIRED
    assert enrol(request_of(DEVICE), None, 0) is Enrolling.UNKNOWN_CODE


def test_who_brings_a_key_must_have_it() -> None:
    body = msgspec.msgpack.encode(EnrolmentRequest(secret=CODE.secret, public=DEVICE.public))
    forged = OTHER.sign(Purpose.ENROLMENT, body)
    assert open_request(forged) is Enrolling.MALFORMED
    assert open_request(msgspec.structs.replace(forged, key_id=DEVICE.key_id)) is Enrolling.NOT_PROVEN
    assert open_request(DEVICE.sign(Purpose.ENROLMENT, b"\xc1")) is Enrolling.MALFORMED
    assert open_request(DEVICE.sign(Purpose.BATCH, body)) is Enrolling.NOT_PROVEN


def test_a_device_knows_its_own_city_by_the_code() -> None:
    signed = answer(Enrolling.ENROLLED, CITY, 5, issued=ISSUED, city="kzo", head=Head(sequence=9, hash=b"h" * 32))
    said = open_answer(signed, CODE)
    assert said is not None
    assert (said.device_id, said.city, said.vehicle_id, said.sequence) == ("v-1", "kzo", "bus-7", 9)
    somebody = answer(Enrolling.ENROLLED, OTHER, 5, issued=ISSUED, city="kzo", head=Head())
    assert open_answer(somebody, CODE) is None
    assert open_answer(msgspec.structs.replace(signed, signature=b"\0" * 64), CODE) is None
    assert open_answer(CITY.sign(Purpose.ENROLMENT, b"\xc1"), CODE) is None


def test_a_refusal_says_nothing_about_the_device() -> None:
    said = open_answer(answer(Enrolling.USED, CITY, 5, issued=ISSUED, city="kzo", head=Head()), CODE)
    assert said is not None
    assert (said.device_id, said.city, said.vehicle_id) == ("", "", "")


def test_after_ten_failures_an_address_waits_a_minute_and_others_do_not() -> None:
    limit = FailureLimit()
    for at_ms in range(FAILURES_MAX):
        assert limit.allows("10.0.0.1", at_ms)
        limit.failed("10.0.0.1", at_ms)
    assert not limit.allows("10.0.0.1", FAILURES_MAX)
    assert limit.allows("10.0.0.2", FAILURES_MAX)
    assert limit.allows("10.0.0.1", FAILURES_MS), "the first one is a minute old"
    assert not FailureLimit()._failures, "nothing is kept of who did nothing wrong"


@pytest.mark.parametrize(
    ("device_id", "vehicle_id", "said"),
    [
        ("", "bus-7", "device_id: ''"),
        ("a:1", "bus-7", "device_id: 'a:1' must be"),  # ':' separates device and sequence in a tap's key
        ("../a", "bus-7", "device_id: '../a' must be"),
        ("v" * 65, "bus-7", "must be 1 to 64"),
        ("v-1", "", "vehicle_id: ''"),
        ("v-1", "bus\n7", "vehicle_id: 'bus"),
    ],
)
def test_devices_have_names_that_keys_and_folders_can_bear(device_id: str, vehicle_id: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        IssuedCode(digest=CODE.digest, device_id=DeviceId(device_id), vehicle_id=vehicle_id, expires_ms=0)


def test_a_code_needs_its_randomness() -> None:
    with pytest.raises(ValueError, match="10 random bytes, not 3"):
        Code.make(b"abc", CITY.public)
