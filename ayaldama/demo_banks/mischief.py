"""What a bank of the demo does wrong on purpose: it repeats, delays, reorders, forges, forgets, and loses its answers.

Seeded: the same seed does the same to the same presses of buttons. A forgery is what somebody sends who is not the
bank; that nothing comes of it is the point of the demo.
"""

import asyncio
import enum
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
import numpy as np

from commons.logs import get_logger

REPEATS_MAX: Final = 3
DELAY_MAX_S: Final = 4.0
FIRST_MAX_S: Final = 0.5  # the first word is quick as a rule, so that the demo is
SLOW_SHARE: Final = 0.2  # of first words that come late: an older one overtakes them
FORGET_SHARE: Final = 0.1  # of payments of which the bank says nothing: we must ask
LOSE_SHARE: Final = 0.1  # of answers that are lost after the thing was done
TRIES_MAX: Final = 8
ANSWER_MAX_S: Final = 10.0

_log = get_logger(__name__)


class Forgery(enum.StrEnum):
    """What a false word is."""

    SECRET = enum.auto()  # signed with a secret of one's own
    AMOUNT = enum.auto()  # a true word with ten times the amount
    OLD = enum.auto()  # a true word, long ago


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One word to be said: when, and what is wrong with it. ``older``: it says how things stood before."""

    after_s: float
    forgery: Forgery | None = None
    older: bool = False


class Mischief:
    """The faults of one bank."""

    def __init__(self, chance: np.random.Generator, *, delay_max_s: float = DELAY_MAX_S) -> None:
        self._chance, self._delay_max_s = chance, delay_max_s

    def tellings(self) -> list[Telling]:
        """Return how one event is told, in order of time."""
        chance, late_s = self._chance, self._delay_max_s
        if chance.random() < FORGET_SHARE:
            return []
        first_s = chance.uniform(0, late_s if chance.random() < SLOW_SHARE else min(late_s, FIRST_MAX_S))
        told = [Telling(after_s=first_s)]
        told += [Telling(after_s=chance.uniform(0, late_s)) for _ in range(chance.integers(REPEATS_MAX + 1))]
        told += [Telling(after_s=chance.uniform(0, late_s), older=True) for _ in range(chance.integers(2))]
        told += [
            Telling(after_s=chance.uniform(0, late_s), forgery=forgery) for forgery in Forgery if chance.random() < 0.5
        ]
        return sorted(told, key=lambda one: one.after_s)

    def loses_answer(self) -> bool:
        """Say whether the answer to a request that was done is lost."""
        return bool(self._chance.random() < LOSE_SHARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A request to the merchant."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class Teller:
    """Says words to the merchant, again until it is heard. Made by ``open_teller``."""

    def __init__(self, tasks: asyncio.TaskGroup, session: aiohttp.ClientSession) -> None:
        self._tasks, self._session = tasks, session
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, telling: Telling, word: Callable[[], Word]) -> None:
        """Say something later. ``word`` is made when it is said, because it may be signed with the time."""
        task = self._tasks.create_task(self._tell(telling, word), name="word")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def stop(self) -> None:
        """Say no more: what was not said yet is not said."""
        for task in self._telling:
            task.cancel()

    async def ask(self, word: Word) -> tuple[int, bytes] | None:
        """Say something now; return status and answer, None if there was none."""
        try:
            async with (
                asyncio.timeout(ANSWER_MAX_S),
                self._session.post(word.url, data=word.body, headers=word.headers) as answer,
            ):
                return answer.status, await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.info("the merchant does not answer", url=word.url, error=type(error).__name__)
            return None

    async def _tell(self, telling: Telling, word: Callable[[], Word]) -> None:
        await asyncio.sleep(telling.after_s)
        for tried in range(1 if telling.forgery else TRIES_MAX):
            answered = await self.ask(word())
            if answered is not None and (answered[0] < 300 or telling.forgery is not None):
                return
            await asyncio.sleep(2**tried)


@asynccontextmanager
async def open_teller() -> AsyncIterator[Teller]:
    """Give a teller while the block runs."""
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        teller = Teller(tasks, session)
        try:
            yield teller
        finally:
            teller.stop()
