"""Whose messages are answered, and by what one is known again."""

import msgspec
import pytest

from fare.model import PhoneNumber
from fare.sms.acceptance import Accepted, SmsRules, accept
from fare.sms.values import Incoming, Outgoing, Taken
from tests.notation.rides import MIDNIGHT_MS

RULES = SmsRules(ranges={"kcell": frozenset({"Kcell/Activ"}), "beeline": frozenset({"Beeline"})})
NOW_MS = MIDNIGHT_MS


def incoming(**said: object) -> Incoming:
    message = Incoming(
        operator="kcell",
        message_id="m1",
        sender="+77011234567",
        short_code="2505",
        text="0451",
        sent_ms=NOW_MS - 2_000,
        received_ms=NOW_MS,
    )
    return msgspec.structs.replace(message, **said)


def accepted(**said: object) -> Accepted:
    found = accept(incoming(**said), RULES)
    assert isinstance(found, Accepted)
    return found


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"short_code": "1414"}, Taken.NOT_OUR_CODE),
        ({"sender": "Kaspi"}, Taken.NOBODY),
        ({"sender": "1414"}, Taken.NOBODY),
        ({"sender": "+79161234567"}, Taken.NOBODY),
        ({"operator": "beeline"}, Taken.OTHER_OPERATOR),
        ({"operator": "tele2"}, Taken.OTHER_OPERATOR),
        ({"sender": "+77771234567"}, Taken.OTHER_OPERATOR),
    ],
)
def test_attacks_26_and_27_who_cannot_be_believed_gets_no_answer(said: dict[str, object], taken: Taken) -> None:
    assert accept(incoming(**said), RULES) is taken


def test_attack_26_of_a_range_that_no_bind_claims_the_bind_is_believed() -> None:
    assert accepted(sender="+77071234567", operator="kcell").number == "+77071234567"


def test_attack_35_short_codes_that_answer_each_other_are_not_answered() -> None:
    assert accept(incoming(sender="2505", text="Пришлите номер автобуса."), RULES) is Taken.NOBODY


def test_a_number_is_one_number_in_any_form_and_so_is_its_message() -> None:
    assert len({accepted(sender=form).key for form in ("+77011234567", "77011234567", "87011234567")}) == 1


def test_attack_24_a_message_is_known_by_its_name_else_by_its_time_else_by_the_minutes_around_it() -> None:
    assert accepted(received_ms=NOW_MS + 3_600_000).key == accepted().key
    assert accepted(message_id="", received_ms=NOW_MS + 3_600_000).key == accepted(message_id="").key
    nameless = {"message_id": "", "sent_ms": None}
    first = accepted(**nameless)
    again = accepted(**nameless, received_ms=NOW_MS + RULES.again_ms - 1)
    later = accepted(**nameless, received_ms=NOW_MS + 3 * RULES.again_ms)
    assert first.key in {again.key, *again.same}
    assert first.key not in {later.key, *later.same}


@pytest.mark.parametrize(
    "said", [{"message_id": "m2"}, {"text": "0452"}, {"sender": "+77011234568"}, {"short_code": "2506"}]
)
def test_another_message_has_another_key(said: dict[str, object]) -> None:
    rules = msgspec.structs.replace(RULES, short_codes=frozenset({"2505", "2506"}))
    found = accept(incoming(**said), rules)
    assert isinstance(found, Accepted)
    assert found.key != accepted().key


def test_nobody_sends_from_the_future() -> None:
    assert accepted(sent_ms=NOW_MS + 3_600_000).asked_ms == NOW_MS


def test_attack_52_representations_show_no_number_and_no_text() -> None:
    outgoing = Outgoing(id=1, operator="kcell", to=PhoneNumber("+77011234567"), short_code="2505", text="Билет 0451")
    for value in (incoming(), outgoing):
        assert "7701" not in repr(value)
        assert "0451" not in repr(value)
