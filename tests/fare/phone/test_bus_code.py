"""The QR of a bus: which bus it is, and everything that was pasted over it."""

import base64
import io
from xml.etree import ElementTree

import pytest
import segno
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fare.bus_label.label import bus_label_svg, bus_qr_png
from fare.phone import cose
from fare.phone.bus_code import (
    PATH,
    BusRefusal,
    Fix,
    Registered,
    bus_link,
    context_of,
    is_elsewhere,
    read_bus_code,
)
from tests.fare.phone.phones import CITY, NOON_MS, private, public, shown

URL = "https://pay.example.kz"
KEYS = {cose.key_id_of(public("city")): public("city")}
REGISTER = Registered(issue=7, vehicle_id="117", issued_ms=NOON_MS)


def link(vehicle_id: str = "117", *, issue: int = 7, city: str = CITY, key: str = "city") -> str:
    return bus_link(URL, vehicle_id, issue, city=city, key=private(key))


def refusal(text: str, register: Registered | None = REGISTER) -> BusRefusal | None:
    code = read_bus_code(text)
    return BusRefusal.NOT_OURS if code is None else code.refusal(KEYS, register, city=CITY)


@pytest.mark.parametrize("vehicle_id", ["1", "117", "кзо-117", "x" * 64])
def test_a_code_names_its_bus_and_its_issue(vehicle_id: str) -> None:
    code = read_bus_code(link(vehicle_id))
    assert code is not None
    assert (code.vehicle_id, code.issue) == (vehicle_id, 7)
    assert read_bus_code(link(vehicle_id).rpartition(PATH)[2]) == code, "typed without the address"
    assert code.refusal(KEYS, Registered(issue=7, vehicle_id=vehicle_id, issued_ms=0), city=CITY) is None


@pytest.mark.parametrize("text", [
    "https://pay.example.kz", "https://evil.example/pay?bus=117", "117", "", "https://pay.example.kz/b/", "\ud800",
    shown("ann"), "x" * 600, f"{URL}{PATH}" + base64.urlsafe_b64encode(bytes(90)).decode(),
])  # fmt: skip
def test_i6_what_is_no_code_of_a_bus_is_found_out(text: str) -> None:
    assert refusal(text) is BusRefusal.NOT_OURS


def test_i6_a_code_that_the_city_did_not_sign_is_found_out() -> None:
    assert refusal(link(key="a driver")) is BusRefusal.UNKNOWN_KEY
    signed = cose.sign1(bytes(4) + b"117", context=context_of(CITY), key=private("a driver"))
    forged = signed.replace(cose.key_id_of(public("a driver")), cose.key_id_of(public("city")))
    assert refusal(URL + PATH + base64.urlsafe_b64encode(forged).decode().rstrip("=")) is BusRefusal.BAD_SIGNATURE


def test_attack_7_a_bus_of_another_city_is_none_here() -> None:
    assert refusal(link(city="astana")) is BusRefusal.BAD_SIGNATURE


def test_attack_7_a_phones_code_is_no_buss_code_even_if_the_city_signed_it() -> None:
    other = cose.sign1(bytes([0, 0, 0, 7]) + b"117", context=b"ayaldama phone 1\0" + CITY.encode(), key=private("city"))
    assert refusal(URL + PATH + base64.urlsafe_b64encode(other).decode().rstrip("=")) is BusRefusal.BAD_SIGNATURE


def test_a_revoked_code_and_one_that_the_register_does_not_know_are_not_taken() -> None:
    assert refusal(link(), Registered(issue=7, vehicle_id="117", issued_ms=0, revoked=True)) is BusRefusal.REVOKED
    assert refusal(link(), None) is BusRefusal.UNREGISTERED
    assert refusal(link(), Registered(issue=7, vehicle_id="118", issued_ms=0)) is BusRefusal.UNREGISTERED


def test_the_host_of_the_link_proves_nothing_and_changes_nothing() -> None:
    assert refusal(link().replace(URL, "https://elsewhere.example/x")) is None


@given(st.data())
def test_attack_1_another_character_in_the_signed_part_is_refused(data: st.DataObject) -> None:
    text = link()
    place = data.draw(st.integers(len(URL + PATH), len(text) - 1))
    character = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
    changed = text[:place] + character + text[place + 1 :]
    assert (refusal(changed) is None) == (changed == text)


@pytest.mark.parametrize("vehicle_id", ["1", "11", "111"])
def test_attack_1_what_base64_leaves_over_may_not_be_anything(vehicle_id: str) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    text, register = link(vehicle_id), Registered(issue=7, vehicle_id=vehicle_id, issued_ms=NOON_MS)
    twins = [text[:-1] + last for last in alphabet]
    assert [twin for twin in twins if refusal(twin, register) is None] == [text]


@given(st.text(max_size=300))
def test_attack_9_whatever_is_scanned_it_is_a_code_or_none(text: str) -> None:
    assert refusal(text) is BusRefusal.NOT_OURS


@pytest.mark.parametrize("vehicle_id", ["", "x" * 65])
def test_a_vehicle_that_fits_no_code_is_the_callers_error(vehicle_id: str) -> None:
    with pytest.raises(ValueError, match="vehicle_id must have 1 to 64 bytes"):
        link(vehicle_id)


# Is the phone in that bus?

BUS = Fix(latitude=44.85, longitude=65.50, accuracy_m=10, at_ms=NOON_MS)


@pytest.mark.parametrize(("north_m", "accuracy_m", "apart_s", "elsewhere"), [
    (100, 20, 0, False),
    (320, 20, 0, False),
    (340, 20, 0, True),
    (800, 600, 0, False),
    (2_000, 20, 60, True),
    (1_500, 20, 60, False),
])  # fmt: skip
def test_a_phone_that_cannot_be_in_the_bus_is_elsewhere(
    north_m: float, accuracy_m: float, apart_s: int, *, elsewhere: bool
) -> None:
    latitude = BUS.latitude + north_m / 111_195
    phone = Fix(latitude=latitude, longitude=BUS.longitude, accuracy_m=accuracy_m, at_ms=NOON_MS + apart_s * 1_000)
    assert is_elsewhere(BUS, phone) is elsewhere


# What hangs in the bus


def test_the_label_shows_the_bus_in_three_languages_and_a_scanner_reads_its_code() -> None:
    svg = ElementTree.fromstring(bus_label_svg(link(), "117", 7))  # noqa: S314 - we made it
    said = " ".join(svg.itertext())
    assert all(text in said for text in ("Жол ақысы · Оплата проезда · Pay here", "117", "№ 7"))
    assert svg.attrib["width"] == "105mm"
    (read,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(bus_qr_png(link()))))
    assert (read.text, refusal(read.text)) == (link(), None)


def test_a_label_survives_a_bus_whose_name_is_markup() -> None:
    svg = ElementTree.fromstring(bus_label_svg(link("<b>&"), "<b>&", 7))  # noqa: S314
    assert "<b>&" in " ".join(svg.itertext())


def test_a_scratched_label_is_still_read() -> None:
    picture = Image.open(io.BytesIO(bus_qr_png(link()))).convert("L")
    side = picture.width // 6
    picture.paste(255, (picture.width // 2, picture.height // 2, picture.width // 2 + side, picture.height // 2 + side))
    (read,) = zxingcpp.read_barcodes(picture)
    assert read.text == link()
    assert segno.make(link(), error="q", boost_error=False).version <= 12
