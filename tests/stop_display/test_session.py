"""What a board may say, and what becomes of it if it says something else."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stop_display.model import STOPS_MAX, Ack, Resume, Subscribe
from stop_display.outcomes import Drop, Problem
from stop_display.session import BAD_MAX, MESSAGES_BURST, MESSAGES_PER_S, Heard, Session

SUBSCRIBE = '{"type":"subscribe","stops":["S1"]}'
ACK = '{"type":"ack","sequence":3,"painted_ms":1}'


def session() -> Session:
    return Session(lambda stop: stop.startswith("S"))


def codes(heard: Heard) -> list[str]:
    return [refusal.code for refusal in heard.refusals]


def test_a_board_subscribes_and_says_from_where_it_goes_on() -> None:
    one = session()
    resume = Resume(session="abc", sequence=7)
    text = msgspec.json.encode(Subscribe(stops=["S1", "S2", "S1"], resume=resume, board="kiosk\n 4")).decode()
    assert one.hear(text, 0.0) == Heard(stops=("S1", "S2"), resume=resume)
    assert (one.subscribed, one.board) == (True, "kiosk 4")


def test_a_board_acknowledges_what_is_on_its_screen() -> None:
    one = session()
    one.hear(SUBSCRIBE, 0.0)
    assert one.hear(ACK, 0.0) == Heard(ack=Ack(sequence=3, painted_ms=1))


def test_known_stops_are_served_though_others_are_unknown() -> None:
    heard = session().hear('{"type":"subscribe","stops":["S1","nowhere"]}', 0.0)
    assert (heard.stops, codes(heard), heard.refusals[0].value) == (("S1",), [Problem.UNKNOWN_STOP], "nowhere")


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        (ACK, Problem.NOT_SUBSCRIBED, "type"),
        ('{"type":"subscribe","stops":["nowhere"]}', Problem.UNKNOWN_STOP, "stops"),
        ('{"type":"subscribe","stops":[]}', Problem.UNREADABLE, "stops"),
        (
            msgspec.json.encode(Subscribe(stops=[f"S{i}" for i in range(STOPS_MAX + 1)])).decode(),
            Problem.UNREADABLE,
            "stops",
        ),
        ('{"type":"subscribe","stops":[4]}', Problem.UNREADABLE, "stops[0]"),
        (
            '{"type":"subscribe","stops":["S1"],"resume":{"session":1,"sequence":2}}',
            Problem.UNREADABLE,
            "resume.session",
        ),
        ('{"type":"snapshot"}', Problem.UNREADABLE, "type"),
        ("[]", Problem.UNREADABLE, ""),
        ("", Problem.UNREADABLE, ""),
        ("hello", Problem.UNREADABLE, ""),
        (b"\xff\xfe", Problem.UNREADABLE, ""),
        ('"' + "[" * 4_000, Problem.UNREADABLE, ""),
        ("[" * 4_000, Problem.UNREADABLE, ""),
        ('{"type":"subscribe","stops":["S1"],"more":' + "[" * 4_000, Problem.UNREADABLE, ""),
    ],
)
def test_each_wrong_message_is_answered_with_what_is_wrong(said: str | bytes, code: Problem, field: str) -> None:
    one = session()
    heard = one.hear(said, 0.0)
    assert (codes(heard), heard.refusals[0].field, heard.drop) == ([code], field, None)
    assert heard.refusals[0].rule
    assert len(heard.refusals[0].value) <= 80
    assert not one.subscribed


def test_a_board_that_keeps_saying_nonsense_is_let_go() -> None:
    one = session()
    assert [one.hear("?", 0.0).drop for _ in range(BAD_MAX + 1)] == [None] * BAD_MAX + [Drop.BAD_MESSAGES]


def test_a_burst_is_heard_and_a_flood_is_refused_until_time_has_passed() -> None:
    one = session()
    one.hear(SUBSCRIBE, 0.0)
    answers = [one.hear(ACK, 0.0) for _ in range(MESSAGES_BURST)]
    assert [codes(answer) for answer in answers] == [[]] * (MESSAGES_BURST - 1) + [[Problem.TOO_FAST]]
    assert one.hear(ACK, 1 / MESSAGES_PER_S).ack is not None


@given(st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_no_message_breaks_a_session(said: str | bytes) -> None:
    heard = session().hear(said, 0.0)
    assert len(heard.refusals) == 1
