"""An operator's charging over real HTTP: what is not signed, late or of another charge is no answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ayaldama.simulate.operator import Mood, SimulatedOperator, bad_moods
from fare.gateways.charging_port import (
    Charged,
    ChargeRefusal,
    ChargeRefused,
    ChargeRequest,
    ChargeReversed,
    ChargeUnansweredError,
    ChargeUnknown,
)
from fare.gateways.operator_charging import HttpOperatorCharging, OperatorHttpSettings, open_operator_charging
from fare.gateways.operator_signing import is_of_now, sign_question
from fare.model import PhoneNumber
from tests.notation.market import NOON_MS, MarketClock

SECRET = b"shared with operator"
NUMBER = PhoneNumber("+77011234567")


def request(key: str = "sms:1", amount_tiyn: int = 100, number: str = NUMBER) -> ChargeRequest:
    return ChargeRequest(key=key, number=PhoneNumber(number), amount_tiyn=amount_tiyn, asked_ms=NOON_MS)


@asynccontextmanager
async def served(app: web.Application, secret: bytes = SECRET) -> AsyncIterator[HttpOperatorCharging]:
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    settings = OperatorHttpSettings(url=str(server.make_url("/")), secret=secret, answer_max_s=3.0)
    try:
        async with open_operator_charging(settings, MarketClock()) as charging:
            yield charging
    finally:
        await server.close()


@pytest.fixture
def operator() -> SimulatedOperator:
    return SimulatedOperator(secret=SECRET, clock=MarketClock(), credit_tiyn=250, late_s=3.5)


async def test_a_key_charges_once_and_is_given_back_once(operator: SimulatedOperator) -> None:
    async with served(operator.application()) as charging:
        assert await charging.status("sms:1") == ChargeUnknown()
        first = await charging.charge(request())
        assert isinstance(first, Charged)
        assert await charging.charge(request()) == first == await charging.status("sms:1")
        assert operator.spent_tiyn[NUMBER] == 100
        assert await charging.reverse("sms:1") == await charging.reverse("sms:1") == ChargeReversed()
        assert operator.spent_tiyn[NUMBER] == 0


async def test_attack_42_a_key_of_another_charge_is_refused(operator: SimulatedOperator) -> None:
    async with served(operator.application()) as charging:
        await charging.charge(request())
        assert await charging.charge(request(amount_tiyn=99)) == ChargeRefused(reason=ChargeRefusal.REFUSED)
    assert operator.spent_tiyn[NUMBER] == 100


async def test_what_was_given_back_before_it_came_is_never_charged(operator: SimulatedOperator) -> None:
    async with served(operator.application()) as charging:
        await charging.reverse("sms:1")
        with pytest.raises(ChargeUnansweredError, match="given back before"):
            await charging.charge(request())
    assert operator.spent_tiyn[NUMBER] == 0


async def test_refusals_say_why(operator: SimulatedOperator) -> None:
    async with served(operator.application()) as charging:
        assert await charging.charge(request(amount_tiyn=251)) == ChargeRefused(reason=ChargeRefusal.NO_CREDIT)
        changed = await charging.charge(request("sms:2", number="+77011234592"))
        assert changed == ChargeRefused(reason=ChargeRefusal.SIM_CHANGED)


@pytest.mark.parametrize("mood", [mood for mood in Mood if mood is not Mood.WELL])
async def test_no_bad_answer_is_believed(operator: SimulatedOperator, mood: Mood) -> None:
    operator.moods = lambda: mood
    async with served(operator.application()) as charging:
        with pytest.raises(ChargeUnansweredError):
            await charging.charge(request())


async def test_who_does_not_know_the_secret_charges_nobody(operator: SimulatedOperator) -> None:
    async with served(operator.application(), secret=b"guessed by somebody") as charging:
        with pytest.raises(ChargeUnansweredError):
            await charging.charge(request())
    assert operator.requests.total() == 0


async def test_an_answer_of_another_question_is_none(operator: SimulatedOperator) -> None:
    """Recorded from one charge, sent for the next: it is signed, and not for this."""
    recorded: list[web.Response] = []

    async def replays(asked: web.Request, handler: object) -> web.StreamResponse:
        if not recorded:
            answer = await handler(asked)  # type: ignore[operator]
            recorded.append(answer)
            return answer  # type: ignore[no-any-return]
        first = recorded[0]
        return web.Response(status=first.status, body=first.body, headers=first.headers)

    app = operator.application()
    app.middlewares.append(web.middleware(replays))
    async with served(app) as charging:
        await charging.charge(request())
        with pytest.raises(ChargeUnansweredError, match="not signed"):
            await charging.charge(request("sms:2"))


def test_attack_37_no_two_questions_are_signed_alike() -> None:
    one = sign_question(SECRET, "PUT", "/charges/1", "12", b"34")
    assert one != sign_question(SECRET, "PUT", "/charges/1", "1", b"234")
    with pytest.raises(ValueError, match="line end"):
        sign_question(SECRET, "PUT", "/charges/1\n12", "", b"34")


@pytest.mark.parametrize(
    ("timestamp", "now"), [("1000", True), ("1300", True), ("1301", False), ("-5", False), ("", False)]
)
def test_a_question_of_long_ago_is_refused(timestamp: str, now: bool) -> None:
    assert is_of_now(timestamp, 1_000) is now


@pytest.mark.parametrize(("url", "secret"), [("ftp://operator", SECRET), ("http://operator", b"short")])
def test_settings_that_cannot_work_are_refused_and_show_no_secret(url: str, secret: bytes) -> None:
    with pytest.raises(ValueError, match=r"must be http|at least 16") as caught:
        OperatorHttpSettings(url=url, secret=secret)
    assert "short" not in str(caught.value)
    assert "shared" not in repr(OperatorHttpSettings(url="http://operator", secret=SECRET))


def test_attack_44_nobody_is_charged_nothing_or_less() -> None:
    for amount_tiyn in (0, -100):
        with pytest.raises(ValueError, match="must be above 0"):
            request(amount_tiyn=amount_tiyn)


def test_moods_are_those_of_their_seed() -> None:
    first, second = bad_moods(7, 0.5), bad_moods(7, 0.5)
    assert [first() for _ in range(20)] == [second() for _ in range(20)]
