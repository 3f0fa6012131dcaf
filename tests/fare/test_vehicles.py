"""What is written on a bus is found however it is typed."""

import pytest

from fare.vehicles import Vehicle, vehicle_code


@pytest.mark.parametrize(
    "typed",
    ["123ABC11", "123 abc 11", "123-АВС-11", "１２３авс11", "\u202e123 AВC\u200f 11", "№123ABC11", "123\0ABC11"],
    ids=["plain", "blanks", "cyrillic", "full_width", "marks", "number_sign", "nul"],
)
def test_attack_29_one_plate_has_one_form_on_every_keyboard(typed: str) -> None:
    assert vehicle_code(typed) == "123ABC11"


@pytest.mark.parametrize("typed", ["", "  ", "КАРТА", "451; DROP", "4" * 17, "жол 12", "451\r\nTo: x"])
def test_what_is_no_number_has_no_form(typed: str) -> None:
    assert vehicle_code(typed) == ""


def test_a_leading_zero_is_part_of_a_number() -> None:
    assert vehicle_code("0451") != vehicle_code("451")


def test_a_bus_is_known_by_its_number_and_its_plate() -> None:
    assert Vehicle(vehicle_id="b", fleet_number="0451", plate="123 АВС 11").codes == ("0451", "123ABC11")
    assert Vehicle(vehicle_id="b", fleet_number="0451").codes == ("0451",)
