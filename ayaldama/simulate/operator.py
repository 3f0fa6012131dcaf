"""A mobile operator that charges its numbers' accounts, and behaves as badly as real ones do.

It is honest: its books say what it took, and the same key takes once. What it answers is another matter: each request
draws a mood. Which numbers it refuses, and why, can be seen from their last digits, so that a demo can show all of it.

``python -m ayaldama.simulate.operator --port 8076 --secret-file F`` runs one by itself; ``--bad 0.2`` lets it behave
badly at one request in five.
"""

import asyncio
import enum
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click
import msgspec
from aiohttp import web

from commons.clock import Clock, SystemClock
from fare.gateways.charging_port import ChargeRefusal
from fare.gateways.operator_charging import ChargeAnswer, ChargeBody
from fare.gateways.operator_signing import SIGNATURE, TIMESTAMP, is_of_now, is_signed, sign_answer, sign_question

LATE_S: Final = 10.0

# The last two digits of a number say what is the matter with it; all others have money.
TROUBLES: Final[Mapping[str, ChargeRefusal]] = MappingProxyType(
    {
        "90": ChargeRefusal.NO_CREDIT,
        "91": ChargeRefusal.CORPORATE_NUMBER,
        "92": ChargeRefusal.SIM_CHANGED,
        "93": ChargeRefusal.BARRED,
        "94": ChargeRefusal.OTHER_OPERATOR,
    }
)


class Mood(enum.StrEnum):
    """What happens to one request."""

    WELL = enum.auto()
    LATE = enum.auto()  # done, and answered after ``late_s``
    ANSWER_LOST = enum.auto()  # done, and the connection is cut
    REQUEST_LOST = enum.auto()  # not done, and the connection is cut
    FAILS_AFTER = enum.auto()  # done, and answered with status 500
    BUSY = enum.auto()  # not done: status 503
    UNSIGNED = enum.auto()  # done, and the answer is signed by nobody
    TAKES_MORE = enum.auto()  # done, for one tiyn more than was asked


@dataclass(slots=True)
class Account:
    """What became of one key."""

    number: str
    amount_tiyn: int
    answer: ChargeAnswer


@dataclass(slots=True)
class SimulatedOperator:
    """An operator. ``moods`` is asked once for each request; ``credit_tiyn`` is what each number begins with."""

    secret: bytes
    clock: Clock
    moods: Callable[[], Mood] = field(default=lambda: Mood.WELL)
    credit_tiyn: int = 1_000_000
    late_s: float = LATE_S
    charges: dict[str, Account] = field(default_factory=dict)
    spent_tiyn: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)

    def application(self) -> web.Application:
        """Return the operator's HTTP server."""
        app = web.Application()
        app.add_routes(
            [
                web.put("/charges/{key}", self._handle),
                web.get("/charges/{key}", self._handle),
                web.post("/charges/{key}/reversal", self._handle),
            ]
        )
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        given, timestamp = request.headers.get(SIGNATURE, ""), request.headers.get(TIMESTAMP, "")
        expected = sign_question(self.secret, request.method, request.raw_path, timestamp, body)
        if not is_signed(expected, given) or not is_of_now(timestamp, self.clock.now_ms() // 1_000):
            raise web.HTTPUnauthorized
        self.requests[request.method] += 1
        mood = self.moods()
        if mood is Mood.BUSY:
            return self._signed(given, 503, b"")
        if mood is Mood.REQUEST_LOST:
            return _cut(request)
        answer = self._do(request.method, request.match_info["key"], body, mood)
        if mood is Mood.ANSWER_LOST:
            return _cut(request)
        if mood is Mood.LATE:
            await asyncio.sleep(self.late_s)
        if mood is Mood.FAILS_AFTER:
            return self._signed(given, 500, b"")
        if mood is Mood.UNSIGNED:
            return web.json_response(msgspec.to_builtins(answer))
        return self._signed(given, 200, msgspec.json.encode(answer))

    def _do(self, method: str, key: str, body: bytes, mood: Mood) -> ChargeAnswer:
        if method == "GET":
            return self.charges[key].answer if key in self.charges else ChargeAnswer(key=key, state="unknown")
        if method == "POST":
            return self._reverse(key)
        wish = msgspec.json.decode(body, type=ChargeBody)
        known = self.charges.get(key)
        if known is not None:
            same = (known.number, known.amount_tiyn) == (wish.number, wish.amount_tiyn) or not known.number
            return known.answer if same else ChargeAnswer(key=key, state="refused", reason="key_reused")
        answer = self._charge(key, wish, wish.amount_tiyn + (mood is Mood.TAKES_MORE))
        self.charges[key] = Account(wish.number, wish.amount_tiyn, answer)
        return answer

    def _charge(self, key: str, wish: ChargeBody, amount_tiyn: int) -> ChargeAnswer:
        trouble = TROUBLES.get(wish.number[-2:])
        if trouble is None and self.spent_tiyn[wish.number] + amount_tiyn > self.credit_tiyn:
            trouble = ChargeRefusal.NO_CREDIT
        if trouble is not None:
            return ChargeAnswer(key=key, state="refused", reason=trouble.value)
        self.spent_tiyn[wish.number] += amount_tiyn
        return ChargeAnswer(key=key, state="charged", amount_tiyn=amount_tiyn, reference=f"op-{len(self.charges) + 1}")

    def _reverse(self, key: str) -> ChargeAnswer:
        known = self.charges.get(key)
        if known is not None and known.answer.state == "charged":
            self.spent_tiyn[known.number] -= known.answer.amount_tiyn
        if known is None or known.answer.state == "charged":
            number, amount_tiyn = (known.number, known.amount_tiyn) if known is not None else ("", 0)
            self.charges[key] = Account(number, amount_tiyn, ChargeAnswer(key=key, state="reversed"))
        return self.charges[key].answer

    def _signed(self, question: str, status: int, body: bytes) -> web.Response:
        signature = sign_answer(self.secret, question, status, body)
        return web.Response(status=status, body=body, headers={SIGNATURE: signature}, content_type="application/json")


def bad_moods(seed: int, share: float) -> Callable[[], Mood]:
    """Return moods of which a ``share`` is bad, the same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - a scenario, not a secret
    bad = [mood for mood in Mood if mood is not Mood.WELL]
    return lambda: dice.choice(bad) if dice.random() < share else Mood.WELL


@click.command()
@click.option("--port", default=8_076, show_default=True, help="On this machine only.")
@click.option("--secret-file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--bad", default=0.0, show_default=True, type=click.FloatRange(0.0, 1.0), help="Share of bad moods.")
@click.option("--seed", default=1, show_default=True, help="Of the moods.")
def main(port: int, secret_file: Path, bad: float, seed: int) -> None:
    """Run a mobile operator that charges its numbers."""
    operator = SimulatedOperator(
        secret=secret_file.read_bytes().strip(), clock=SystemClock(), moods=bad_moods(seed, bad)
    )
    web.run_app(operator.application(), host="127.0.0.1", port=port)


def _cut(request: web.Request) -> web.StreamResponse:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


if __name__ == "__main__":
    main()
