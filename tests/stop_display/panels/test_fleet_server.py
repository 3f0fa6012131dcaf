"""Boards with keys against the real server: let in, told, turned away; what they report, and who may see it."""

import asyncio
import contextlib
import dataclasses
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import asyncpg
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from commons.clock import wall_ms
from fare.people import Role
from stop_display import server as server_module
from stop_display.client import BoardClient
from stop_display.panels import desk as desk_module
from stop_display.panels import store
from stop_display.panels.delays import EVERY_BOARD
from stop_display.panels.model import Configuration, PanelConfig, PanelError
from tests.dispatch.sightings import arrival, position, update
from tests.dispatch.small_city import ALAN, BAZAR
from tests.patience import PATIENCE_S
from tests.stop_display.panels.city import KEYS, PASSWORD, VERSION, FleetCity, employed, fleet_city, registered
from tests.stop_display.panels.fleet import health
from transit.store.redis_state import StateWriter

WRONG = "a" * 26


async def hear(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of that kind."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == kind:
                return message


async def ended(socket: ClientConnection) -> int | None:
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await socket.recv()
    return socket.close_code


async def change(city: FleetCity, name: str, **changes: Any) -> None:
    panel = await store.find_panel(city.pool, name)
    assert panel is not None
    await store.set_config(city.pool, name, dataclasses.replace(panel.config, **changes))


def reported(**changes: Any) -> dict[str, Any]:
    rows = [{"stop": ALAN.id, "route": "10", "figure": "no data", "state": "no_data"}]
    return {"uptime_s": 9.0, "content_age_s": 1.0, "stops": [ALAN.id], "clock": "18:13", "rows": rows, **changes}


async def test_a_board_with_a_key_is_told_what_it_is_and_at_once_what_changes(
    redis: Redis, fare_postgres: asyncpg.Pool
) -> None:
    async with fleet_city(redis, fare_postgres) as city:
        key = await registered(city, "kiosk-4", ALAN.id, BAZAR.id, hours="05:30-00:30", volume=40)
        async with city.board(ALAN.id, BAZAR.id, key=key) as socket:
            await hear(socket, "hello")
            told = await hear(socket, "configuration")
            assert told["address"] == (
                "/board/alan?mode=panel&lang=rotate&theme=dark&stops=bazar&layout=auto&board=kiosk-4&fleet=1"
            )
            assert (told["volume"], told["hours"], told["reload"], told["version"]) == (40, [330, 1470], 0, VERSION)
            await change(city, "kiosk-4", theme="light", hours="")
            told = await hear(socket, "configuration")
            assert "theme=light" in told["address"]
            assert told["hours"] is None
            assert await store.ask_reload(city.pool, None) == 1
            assert (await hear(socket, "configuration"))["reload"] == 1
            assert await city.ask("/api/panels/configuration", key=key) == (200, told | {"reload": 1, "server_ms": ANY})


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


ANY = _Any()


async def test_a_board_that_is_a_program_hears_of_it_too(redis: Redis, fare_postgres: asyncpg.Pool) -> None:
    async with fleet_city(redis, fare_postgres) as city:
        key = await registered(city, volume=70)
        url = f"ws://127.0.0.1:{city.port}/board/ws"
        client = BoardClient(url, [ALAN.id], key=key, jitter=random.Random(1))  # noqa: S311
        async with asyncio.timeout(PATIENCE_S):
            async for message in client.messages():
                if isinstance(message, Configuration):
                    break
        assert (message.name, message.volume) == ("kiosk-4", 70)


async def test_what_changes_for_another_board_is_not_told_and_boards_without_a_key_are_told_nothing(
    redis: Redis, fare_postgres: asyncpg.Pool
) -> None:
    async with fleet_city(redis, fare_postgres) as city:
        key = await registered(city)
        await registered(city, "other")
        async with city.board(ALAN.id, key=key) as socket, city.board(ALAN.id) as anonymous:
            await hear(socket, "configuration")
            await hear(anonymous, "snapshot")
            await change(city, "other", theme="light")
            await change(city, "kiosk-4", volume=7)
            assert (await hear(socket, "configuration"))["volume"] == 7
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await hear(anonymous, "configuration")


async def test_a_forged_key_is_refused_by_socket_and_by_http_and_never_repeated(
    redis: Redis, fare_postgres: asyncpg.Pool
) -> None:
    async with fleet_city(redis, fare_postgres) as city:
        await registered(city)
        for forged in (WRONG, "x", "\x00 \u1234", "k" * 3_000):
            async with city.board(ALAN.id, key=forged) as socket:
                problem = json.loads(await socket.recv())
                assert problem == {
                    "type": "problem",
                    "code": "unknown_key",
                    "field": "key",
                    "value": "",
                    "rule": "the key of a board that is registered here",
                }
                assert await ended(socket) == 1008
        status, problem = await city.ask("/api/panels/configuration", key=WRONG)
        assert (status, problem["code"], problem["field"], problem["value"]) == (
            401,
            "unknown_key",
            "Authorization",
            "",
        )
        assert (await city.ask("/api/panels/configuration"))[0] == 401
        assert (await city.ask("/api/panels/health", key=WRONG, sent=reported()))[0] == 401
        counted = city.metrics.exposition().decode()
        assert 'ayaldama_boards_panel_keys_refused_total{reason="unknown_key"} 7.0' in counted
        assert 'ayaldama_boards_dropped_total{reason="wrong_key"} 4.0' in counted


async def test_a_revoked_board_is_let_go_at_once_and_not_let_in_again(
    redis: Redis, fare_postgres: asyncpg.Pool
) -> None:
    async with fleet_city(redis, fare_postgres) as city:
        key = await registered(city)
        async with city.board(ALAN.id, key=key) as socket:
            await hear(socket, "configuration")
            assert await store.revoke(city.pool, "kiosk-4")
            assert (await hear(socket, "problem"))["code"] == "revoked_key"
            assert await ended(socket) == 1008
        assert (await city.ask("/api/panels/configuration", key=key))[1]["code"] == "revoked_key"
        with pytest.raises(PanelError, match="taken"):
            await store.add_panel(city.pool, "kiosk-4", PanelConfig(stops=(ALAN.id,)))


async def test_a_board_with_a_key_comes_in_although_telephones_fill_the_share_of_its_address(
    redis: Redis, fare_postgres: asyncpg.Pool
) -> None:
    async with fleet_city(redis, fare_postgres, boards_per_address=1) as city:
        key = await registered(city)
        async with city.board(ALAN.id) as phone:
            await hear(phone, "snapshot")
            async with city.board(ALAN.id) as other:
                assert (await hear(other, "problem"))["code"] == "address_full"
                assert await ended(other) == 1013
            async with city.board(ALAN.id, key=WRONG) as forged:
                assert (await hear(forged, "problem"))["code"] == "unknown_key"
            async with city.board(ALAN.id, key=key) as socket, city.board(ALAN.id, key=key) as again:
                assert (await hear(socket, "configuration"))["name"] == "kiosk-4"
                assert (await hear(again, "configuration"))["name"] == "kiosk-4"
                await again.send(json.dumps({"type": "subscribe", "stops": [ALAN.id]}))  # without its key
                assert (await hear(again, "problem"))["code"] == "address_full"


async def test_a_board_with_a_key_takes_nothing_of_the_share_of_its_address(
    redis: Redis, fare_postgres: asyncpg.Pool
) -> None:
    async with fleet_city(redis, fare_postgres, boards_per_address=1) as city:
        key = await registered(city)
        async with city.board(ALAN.id, key=key) as socket:
            await hear(socket, "configuration")
            async with city.board(ALAN.id) as phone:
                await hear(phone, "snapshot")


async def test_a_key_does_not_let_in_whoever_has_stolen_it_without_end(
    redis: Redis, fare_postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "SCREENS_PER_KEY_MAX", 2)
    async with fleet_city(redis, fare_postgres, boards_per_address=1) as city, AsyncExitStack() as stack:
        key = await registered(city)
        for _ in range(3):  # two by the key, one by the share
            await hear(await stack.enter_async_context(city.board(ALAN.id, key=key)), "configuration")
        async with city.board(ALAN.id, key=key) as socket:
            assert (await hear(socket, "problem"))["code"] == "address_full"


async def test_who_guesses_keys_is_slowed_and_locks_nobody_out(
    redis: Redis, fare_postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "WRONG_KEYS_PER_MINUTE", 3)
    async with fleet_city(redis, fare_postgres) as city:
        key = await registered(city)
        statuses = [(await city.ask("/api/panels/configuration", key=f"{n}" * 26))[0] for n in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        assert (await city.ask("/api/panels/configuration", key=key))[0] == 200


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b"\xff", ""),
        (b"[" * 30_000, ""),
        (reported(uptime_s=-1), "uptime_s"),
        (reported(battery=2), "battery"),
        (reported(stops=[ALAN.id] * 21), "stops"),
        (reported(rows=[{"stop": "a", "route": "1", "figure": "1"}] * 201), "rows"),
        (reported(rows=[{"stop": "a", "route": "1", "figure": "9" * 81}]), "rows[0].figure"),
        (reported(last_error="x" * 201), "last_error"),
        (reported(last_error="x" * 70_000), "body"),
    ],
)
async def test_a_report_that_is_none_is_refused_by_field(
    redis: Redis, fare_postgres: asyncpg.Pool, sent: object, field: str
) -> None:
    async with fleet_city(redis, fare_postgres) as city:
        key = await registered(city)
        status, problem = await city.ask("/api/panels/health", key=key, sent=sent)
        assert (status, problem["code"], problem["field"].replace("[...]", "[0]")) == (400, "unreadable", field)
        assert b'boards_panel_reports_total{outcome="unreadable"} 1.0' in city.metrics.exposition()
        assert city.desk.reported("kiosk-4") is None


async def test_a_report_that_comes_in_pieces_is_taken_whole(redis: Redis, fare_postgres: asyncpg.Pool) -> None:
    sent = json.dumps(reported(last_error="x" * 200)).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (sent[:40], sent[40:90], sent[90:]):
            yield piece
            await asyncio.sleep(0.05)  # so that the server sees each alone, as over a slow link

    async with fleet_city(redis, fare_postgres) as city:
        headers = {"Authorization": f"Bearer {await registered(city)}"}
        async with aiohttp.ClientSession() as http:
            address = f"{city.at}/api/panels/health"
            async with http.post(address, headers=headers, data=pieces()) as answer:
                assert answer.status == 200, await answer.text()
        report = city.desk.reported("kiosk-4")
        assert report is not None
        assert report.health.last_error == "x" * 200


async def test_reports_are_judged_shared_and_seen_by_dispatchers_only(
    redis: Redis, fare_postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "REPORT_MIN_S", 0)
    monkeypatch.setattr(desk_module, "SHARE_S", 0.05)
    monkeypatch.setattr(desk_module, "FIGURES_S", 0.05)
    async with fleet_city(redis, fare_postgres) as city, fleet_city(redis, fare_postgres) as other:
        key = await registered(city)
        await registered(city, "depot")
        wrong = reported(rows=[{"stop": ALAN.id, "route": "10", "figure": "77", "state": "live"}], clock="03:00")
        for sent in (reported(clock="03:00"), wrong):
            status, told = await city.ask("/api/panels/health", key=key, sent=sent)
            assert (status, told["type"], told["name"]) == (200, "configuration", "kiosk-4")
        for one in (city, other):
            await one.until('ayaldama_boards_panels{standing="wrong"} 1.0')
            await one.until('ayaldama_boards_panels{standing="dark"} 1.0')
            await one.until('ayaldama_boards_panels{standing="ok"} 0.0')
            await one.until('ayaldama_boards_panel_remarks{remark="figure"} 1.0')
            assert not [name for name in (b"kiosk-4", b"depot") if name in one.metrics.exposition()]
        await employed(fare_postgres, "nurlan", Role.DISPATCHER)
        await employed(fare_postgres, "aigul", Role.ACCOUNTANT)
        assert await city.ask("/api/boards/fleet") == (401, {"error": "signed_out", "retry_s": 0})
        answers = {who: await fleet_as(other, who) for who in ("nurlan", "aigul")}
        assert answers["aigul"][0] == 403
        status, fleet = answers["nurlan"]
        assert status == 200
        depot, kiosk = fleet["panels"]
        assert (depot["standing"], [one["code"] for one in depot["remarks"]]) == ("dark", ["never_heard"])
        assert kiosk["standing"] == "wrong"
        assert {"code": "clock", "detail": "03:00"} in kiosk["remarks"]
        assert {"code": "figure", "detail": "10 @ alan: 77"} in kiosk["remarks"]
        assert (kiosk["stop_names"][0]["en"], kiosk["health"]["uptime_s"]) == (ALAN.en, 9.0)


async def signed_in(city: FleetCity, who: str) -> dict[str, str]:
    """Sign somebody in; return the headers of a request that comes from our page."""
    sent = {"name": who, "password": PASSWORD}
    async with aiohttp.ClientSession() as http, http.post(f"{city.at}/api/staff/sign-in", json=sent) as answer:
        assert answer.status == 200
        cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in answer.cookies.items())
        return {"Cookie": cookie, "X-CSRF-Token": (await answer.json())["csrf"]}


async def fleet_as(city: FleetCity, who: str) -> tuple[int, Any]:
    headers = await signed_in(city, who)
    async with aiohttp.ClientSession() as http, http.get(f"{city.at}/api/boards/fleet", headers=headers) as answer:
        return answer.status, await answer.json()


async def test_only_a_dispatcher_on_our_page_has_a_board_reload(redis: Redis, fare_postgres: asyncpg.Pool) -> None:
    async with fleet_city(redis, fare_postgres) as city, aiohttp.ClientSession() as http:
        key = await registered(city)
        await employed(fare_postgres, "nurlan", Role.DISPATCHER)
        await employed(fare_postgres, "aigul", Role.ACCOUNTANT)
        nurlan, aigul = await signed_in(city, "nurlan"), await signed_in(city, "aigul")
        foreign = {"Cookie": nurlan["Cookie"]}
        async with city.board(ALAN.id, key=key) as socket:
            assert (await hear(socket, "configuration"))["reload"] == 0
            for name, headers, status in (
                ("kiosk-4", {}, 401),
                ("kiosk-4", aigul, 403),
                ("kiosk-4", foreign, 403),
                ("nobody", nurlan, 404),
                ("kiosk-4", nurlan, 204),
            ):
                async with http.post(f"{city.at}/api/boards/fleet/{name}/reload", headers=headers) as answer:
                    assert (name, answer.status) == (name, status)
            assert (await hear(socket, "configuration"))["reload"] == 1


async def test_a_board_that_reports_too_often_is_asked_to_wait(redis: Redis, fare_postgres: asyncpg.Pool) -> None:
    async with fleet_city(redis, fare_postgres) as city:
        key = await registered(city)
        statuses = [(await city.ask("/api/panels/health", key=key, sent=reported()))[0] for _ in range(2)]
        assert statuses == [200, 429]


async def test_a_clock_that_was_put_back_silences_no_board(
    redis: Redis, fare_postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fleet_city(redis, fare_postgres) as city:
        key = await registered(city)
        assert (await city.ask("/api/panels/health", key=key, sent=reported()))[0] == 200
        monkeypatch.setattr(desk_module, "wall_ms", lambda: wall_ms() - 3_600_000)
        assert (await city.ask("/api/panels/health", key=key, sent=reported()))[0] == 200


async def test_painted_delays_are_told_by_board_and_of_all(
    redis: Redis, fare_postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "SHARE_DELAYS_S", 0.05)
    writer = StateWriter(redis, KEYS)
    await writer.replace(update(position("101"), arrival(ALAN.id, in_s=230)))
    async with fleet_city(redis, fare_postgres) as city, fleet_city(redis, fare_postgres) as other:
        key = await registered(city)
        async with city.board(ALAN.id, key=key) as socket, city.board(ALAN.id) as anonymous:
            await hear(socket, "snapshot")
            await hear(anonymous, "snapshot")
            fix_ms = (await hear(socket, "configuration"))["server_ms"]
            await writer.publish(update(position("101", fix_ms=fix_ms), arrival(ALAN.id, in_s=700)))
            for board, after_ms in ((socket, 200), (anonymous, 2_000)):
                while (changed := await hear(board, "change")).get("fix_ms") != fix_ms:
                    pass
                ack = {"type": "ack", "sequence": changed["sequence"], "painted_ms": fix_ms + after_ms}
                await board.send(json.dumps(ack))
            await city.until("ayaldama_boards_fix_to_painted_seconds_count 2.0")
            async with asyncio.timeout(PATIENCE_S):
                while len(other.desk.delays()) < 2:  # noqa: ASYNC110 - told by the database
                    await asyncio.sleep(0.02)
        for desk in (city.desk, other.desk):
            delays = desk.delays()
            assert (delays["kiosk-4"].count, delays[EVERY_BOARD].count) == (1, 2)
            assert delays["kiosk-4"].p99_ms == pytest.approx(200, rel=0.06)
            assert delays[EVERY_BOARD].p99_ms == pytest.approx(2_000, rel=0.06)


async def test_the_wall_lists_the_stops_that_buses_call_at(redis: Redis, fare_postgres: asyncpg.Pool) -> None:
    async with fleet_city(redis, fare_postgres) as city:
        status, wall = await city.ask("/api/boards/wall")
        assert (status, wall["total"], wall["page"], wall["pages"], wall["first"]) == (200, 5, 1, 1, 1)
        assert "unused" not in {stop["stop"] for stop in wall["stops"]}
        for page in ("0", "2", "x", "9" * 7, "-1"):
            status, problem = await city.ask(f"/api/boards/wall?page={page}")
            assert (status, problem["field"], problem["value"]) == (400, "page", page)


async def test_boards_go_on_while_the_database_is_away(
    redis: Redis, fare_postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "SHARE_S", 0.05)
    async with fleet_city(redis, fare_postgres) as city:
        key = await registered(city)
        await fare_postgres.execute("ALTER TABLE panel_report RENAME TO hidden")
        assert (await city.ask("/api/panels/health", key=key, sent=reported()))[0] == 200
        await city.until('ayaldama_role_errors_total{role="boards",where="panels_share"}')
        await fare_postgres.execute("ALTER TABLE hidden RENAME TO panel_report")
        async with asyncio.timeout(PATIENCE_S):
            while not await fare_postgres.fetchval("SELECT count(*) FROM panel_report"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_delays_that_nobody_kept_are_forgotten_and_not_looked_for(
    redis: Redis, fare_postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fleet_city(redis, fare_postgres) as city:
        await city.desk._share_delays()
        city.desk.painted("kiosk-4", 0.2)  # and the database is away for hours
        monkeypatch.setattr(desk_module, "wall_ms", lambda: wall_ms() + 3 * 3_600_000)
        monkeypatch.setattr(store, "forget_delays", away)
        with pytest.raises(OSError, match="away"):
            await city.desk._forget()
        assert not city.desk._counting
        await city.desk._share_delays()


async def away(*_asked: object) -> None:
    raise OSError("the database is away")


async def test_what_nobody_thought_of_is_counted_and_ends_no_board(
    redis: Redis, fare_postgres: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_asked: object) -> None:
        raise ValueError("a row that cannot be")

    monkeypatch.setattr(desk_module, "SHARE_DELAYS_S", 0.05)
    async with fleet_city(redis, fare_postgres) as city:
        with monkeypatch.context() as patched:
            patched.setattr(store, "delays_since", broken)
            await city.until('role_errors_total{role="boards",where="panels_delays"}')
        async with city.board(ALAN.id) as socket:
            assert json.loads(await socket.recv())["type"] == "hello"


def test_a_report_of_today_is_read_back() -> None:
    assert health().stops == [ALAN.id]
