"""Roles and one-time codes: what is not granted is refused."""

import cryptography_vectors
import pytest

from fare.model import CarrierId
from fare.people import (
    RIGHTS,
    Person,
    PersonName,
    Right,
    Role,
    SessionRules,
    check_password,
    code_of,
    matching_step,
)

SECRET = b"12345678901234567890"
NOW_MS = 1_764_000_000_000


def person(role: Role, carrier: str = "") -> Person:
    return Person(name=PersonName("aigul"), role=role, carrier_id=CarrierId(carrier) if carrier else None)


def test_every_role_is_listed_and_no_role_may_do_everything() -> None:
    assert set(RIGHTS) == set(Role)
    assert all(rights < set(Right) for rights in RIGHTS.values())


def test_attack_47_an_inspector_inspects_and_nothing_else() -> None:
    inspector = person(Role.INSPECTOR)
    assert [right for right in Right if inspector.may(right)] == [Right.INSPECT]


def test_only_an_auditor_reads_who_did_what_and_changes_nothing() -> None:
    assert [role for role in Role if person(role, "k1" * (role is Role.CARRIER)).may(Right.READ_AUDIT)] == [
        Role.AUDITOR
    ]
    changing = {Right.SETTLE, Right.RECONCILE, Right.ASK_REFUND, Right.APPROVE_REFUND}
    assert not changing & RIGHTS[Role.AUDITOR]


def test_attack_46_a_carrier_sees_its_own_statements_only() -> None:
    carrier = person(Role.CARRIER, "k1")
    assert carrier.sees(CarrierId("k1"))
    assert not carrier.sees(CarrierId("k2"))
    assert not carrier.may(Right.READ_REPORTS)
    assert person(Role.ACCOUNTANT).sees(CarrierId("k2"))
    assert not person(Role.INSPECTOR).sees(CarrierId("k1"))
    assert not person(Role.OPERATOR).sees(CarrierId("k1"))


@pytest.mark.parametrize(("role", "carrier"), [(Role.CARRIER, ""), (Role.ACCOUNTANT, "k1")])
def test_a_carrier_belongs_to_a_person_of_that_role_and_to_no_other(role: Role, carrier: str) -> None:
    with pytest.raises(ValueError, match="carrier_id must be given for the role carrier"):
        person(role, carrier)


@pytest.mark.parametrize("name", ["", " aigul", "Aigul", "ai\ngul", "x" * 65])
def test_names_that_look_like_others_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name must be"):
        Person(name=PersonName(name), role=Role.AUDITOR)


def vectors() -> list[tuple[int, str, str]]:
    """Second, code and secret of RFC 6238, appendix B, as far as they are of SHA-1."""
    with cryptography_vectors.open_vector_file("twofactor/rfc-6238.txt", "r") as file:
        blocks = [dict(line.split(" = ") for line in block.splitlines()) for block in file.read().split("\n\n")[1:]]
    return [(int(block["TIME"]), block["TOTP"], block["SECRET"]) for block in blocks if block.get("MODE") == "SHA1"]


def test_codes_are_the_last_six_digits_of_those_of_rfc_6238() -> None:
    assert len(vectors()) == 6
    for second, totp, secret in vectors():
        assert code_of(secret.encode(), second * 1_000) == totp[-6:]


def test_attack_49_a_code_is_taken_once_and_only_around_its_time() -> None:
    code = code_of(SECRET, NOW_MS)
    step = matching_step(SECRET, code, NOW_MS, after_step=0)
    assert step == NOW_MS // 30_000
    assert matching_step(SECRET, code, NOW_MS, after_step=step) is None
    assert matching_step(SECRET, code, NOW_MS + 30_000, after_step=0) == step
    assert matching_step(SECRET, code, NOW_MS + 90_000, after_step=0) is None
    assert matching_step(SECRET, code, NOW_MS - 90_000, after_step=0) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345x", "१२३४५६", "      "])
def test_what_is_no_code_matches_nothing(code: str) -> None:
    assert matching_step(SECRET, code, NOW_MS, after_step=0) is None


def test_a_short_password_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="12 to 128 characters, not 7") as refused:
        check_password("hunter2")
    assert "hunter2" not in str(refused.value)


def test_a_session_ends_when_nobody_uses_it_and_at_the_latest_after_its_time() -> None:
    rules = SessionRules(idle_minutes=30, whole_minutes=60)
    assert rules.until_ms(0, 10 * 60_000) == 40 * 60_000
    assert rules.until_ms(0, 50 * 60_000) == 60 * 60_000
