"""The web process: what goes wrong in one of its tasks is not lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ayaldama.roles import web as module
from ayaldama.roles._base import RoleContext
from ayaldama.settings import Settings
from commons.clock import SystemClock
from commons.metrics import Metrics
from tests.patience import PATIENCE_S
from transit.notices import Notices


def context_of(stop: asyncio.Event) -> RoleContext:
    return RoleContext(
        settings=Settings(),
        roles=frozenset({"boards"}),
        clock=SystemClock(),
        metrics=Metrics(),
        sockets=None,
        stop=stop,
        ready=lambda _ports: None,
    )


class DeafBoards:
    """Boards that cannot take what dispatchers say."""

    def heed(self, notices: Notices) -> None:
        raise ValueError(f"cannot take {notices}")


async def said_once(*_asked: object, **_more: object) -> AsyncIterator[Notices]:
    yield Notices()
    await asyncio.Event().wait()


async def test_boards_that_do_not_hear_dispatchers_any_more_end_their_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "follow_notices", said_once)
    boards: Any = DeafBoards()
    with pytest.raises(ValueError, match="cannot take"):
        async with asyncio.timeout(PATIENCE_S):
            await module._heed(boards, None, context_of(asyncio.Event()))  # type: ignore[arg-type]


async def test_when_the_process_stops_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "follow_notices", said_once)
    monkeypatch.setattr(DeafBoards, "heed", lambda _boards, _notices: stop.set())
    stop, boards = asyncio.Event(), DeafBoards()
    async with asyncio.timeout(PATIENCE_S):
        await module._heed(boards, None, context_of(stop))  # type: ignore[arg-type]
    assert asyncio.all_tasks() == {asyncio.current_task()}
