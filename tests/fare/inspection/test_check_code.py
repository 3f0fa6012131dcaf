"""Codes that an inspector types: of a medium, and of one ticket."""

from fare.inspection.check_code import CODE_DIGITS, check_code, normal_code, ticket_code
from tests.notation.rides import medium

KEY = bytes(range(32))


def test_a_ticket_has_a_code_of_its_own_which_is_no_other_tickets() -> None:
    codes = {ticket_code(f"sms:{number}", medium(7), KEY) for number in range(1, 1_001)}
    assert len(codes) == 1_000
    assert check_code(medium(7), KEY) not in codes
    assert ticket_code("sms:1", medium(8), KEY) not in codes


def test_a_code_is_ten_digits_and_a_slip_of_the_finger_makes_none() -> None:
    code = ticket_code("sms:1", medium(7), KEY)
    assert len(code) == CODE_DIGITS
    assert normal_code(f"{code[:5]} {code[5:]}") == code
    slips = {code[:at] + digit + code[at + 1 :] for at in range(CODE_DIGITS) for digit in "0123456789"} - {code}
    assert {normal_code(slip) for slip in slips} == {None}
