"""Noted media are charged once the uploads pause, each once, whatever goes wrong meanwhile."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import pytest

from commons.metrics import Metrics
from fare.charging_later import AGAIN_S, LOOKS_AGAIN_S, MEDIA_AT_ONCE, MEDIA_READ, QUIET_S, UPLOADS_MAX_S, ChargingLater
from fare.model import MediumId
from tests.fare.simulation.virtual_time import VirtualLoop, run


@dataclass(kw_only=True)
class Books:
    """What is noted, and when which media were charged."""

    loop: VirtualLoop
    noted: set[MediumId] = field(default_factory=set)
    charged: list[tuple[float, list[MediumId]]] = field(default_factory=list)
    fails: int = 0
    bad: frozenset[MediumId] = frozenset()
    error: Exception | None = None

    async def next_media(self, after: MediumId, count: int) -> list[MediumId]:
        return sorted(one for one in self.noted if one > after)[:count]

    async def charge(self, media: Sequence[MediumId]) -> None:
        await asyncio.sleep(0.01)
        if self.fails:
            self.fails -= 1
            raise ConnectionError("no database")
        if self.error is not None and self.bad & set(media):
            raise self.error
        self.noted -= set(media)
        self.charged.append((self.loop.time(), list(media)))


def media(count: int, first: int = 0) -> set[MediumId]:
    return {MediumId(f"{number:08d}") for number in range(first, first + count)}


def later(books: Books, metrics: Metrics | None = None) -> ChargingLater:
    return ChargingLater(books.next_media, [books.charge, books.charge], metrics=metrics or Metrics())


def test_what_an_earlier_process_left_is_charged_at_once_each_medium_once() -> None:
    count = MEDIA_READ + MEDIA_AT_ONCE // 2

    async def main(loop: VirtualLoop) -> list[MediumId]:
        books = Books(loop=loop, noted=media(count))
        charging = later(books)
        running = asyncio.create_task(charging.run())
        await charging.done()
        assert books.charged[0][0] < QUIET_S
        assert max(len(some) for _, some in books.charged) == MEDIA_AT_ONCE
        charging.close()
        await running
        return [one for _, some in books.charged for one in some]

    assert sorted(run(main)) == sorted(media(count))


@pytest.mark.parametrize(
    ("every_s", "uploads", "begins_s"),
    [(QUIET_S / 2, 5, 5 * QUIET_S / 2 + QUIET_S), (QUIET_S / 2, 1_000, QUIET_S / 2 + UPLOADS_MAX_S)],
)
def test_it_begins_when_uploads_pause_or_after_long_enough(every_s: float, uploads: int, begins_s: float) -> None:
    async def main(loop: VirtualLoop) -> float:
        books = Books(loop=loop)
        charging = later(books)
        running = asyncio.create_task(charging.run())
        await charging.done()
        for number in range(uploads):
            await asyncio.sleep(every_s)
            books.noted |= media(1, number)
            charging.note()
            if books.charged:
                break
        await charging.done()
        charging.close()
        await running
        return books.charged[0][0]

    assert run(main) == pytest.approx(begins_s, abs=0.02)


def test_trouble_is_counted_and_charged_after_a_pause() -> None:
    metrics = Metrics()

    async def main(loop: VirtualLoop) -> float:
        books = Books(loop=loop, noted=media(3), fails=2)
        charging = later(books, metrics)
        running = asyncio.create_task(charging.run())
        await charging.done()
        assert books.noted == set()
        charging.close()
        await running
        return loop.time()

    assert run(main) == pytest.approx(2 * AGAIN_S, abs=0.1)
    text = metrics.exposition().decode()
    assert 'ayaldama_role_errors_total{role="fare",where="charging_later"} 2.0' in text


@pytest.mark.parametrize("error", [ValueError("no tariff"), asyncpg.CheckViolationError("no such kind")])
def test_a_medium_that_cannot_be_charged_keeps_nobody_else_from_it(error: Exception) -> None:
    metrics = Metrics()
    bad = frozenset({MediumId(f"{7:08d}")})

    async def main(loop: VirtualLoop) -> set[MediumId]:
        books = Books(loop=loop, noted=media(3 * MEDIA_AT_ONCE), bad=bad, error=error)
        charging = later(books, metrics)
        running = asyncio.create_task(charging.run())
        await charging.done()
        left = set(books.noted)
        books.error = None
        await asyncio.sleep(LOOKS_AGAIN_S + 1)
        assert books.noted == set(), "it is tried again"
        charging.close()
        await running
        return left

    assert run(main) == bad
    assert 'where="charging_later"} 1.0' in metrics.exposition().decode()


def test_closing_leaves_what_is_not_under_way() -> None:
    async def main(loop: VirtualLoop) -> tuple[int, int]:
        books = Books(loop=loop, noted=media(10 * MEDIA_AT_ONCE))
        charging = later(books)
        running = asyncio.create_task(charging.run())
        await asyncio.sleep(0.015)
        charging.close()
        await running
        return len(books.noted), sum(len(some) for _, some in books.charged)

    left, charged = run(main)
    assert left + charged == 10 * MEDIA_AT_ONCE
    assert 0 < charged <= 4 * MEDIA_AT_ONCE
