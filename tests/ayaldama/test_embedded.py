"""Embedded servers: what was acknowledged is there again, whatever was killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from asyncpg import connect
from redis.asyncio import Redis

from ayaldama.embedded import SOCKET_PATH_MAX_BYTES, open_home, start_postgres, start_valkey
from ayaldama.processes import ProcessError, end_orphan, sole_user_of
from tests.patience import PATIENCE_S

PARENT = """
import sys, time
from pathlib import Path
from ayaldama.embedded import open_home, start_postgres, start_valkey
home = open_home(Path(sys.argv[1]))
print(start_valkey(home).url, flush=True)
print(start_postgres(home).url, flush=True)
time.sleep(60)
"""


class Parent:
    """A program that started both servers in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.valkey_url = self.process.stdout.readline().strip()
        self.postgres_url = self.process.stdout.readline().strip()
        assert self.postgres_url.startswith("postgresql://")

    def tree(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


@contextmanager
def running(folder: Path) -> Iterator[Parent]:
    parent = Parent(folder)
    tree = parent.tree()
    try:
        yield parent
    finally:
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        parent.process.wait()


async def put(parent: Parent, value: str) -> None:
    async with Redis.from_url(parent.valkey_url) as redis:
        await redis.set("kept", value)
        await redis.execute_command("WAITAOF", "1", "0", "2000")
    connection = await connect(parent.postgres_url)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
    await connection.execute("INSERT INTO kept VALUES ($1)", value)
    await connection.close()


async def kept(parent: Parent) -> tuple[str, str]:
    async with Redis.from_url(parent.valkey_url, decode_responses=True) as redis:
        first = await redis.get("kept")
    connection = await connect(parent.postgres_url)
    second = await connection.fetchval("SELECT max(value) FROM kept")
    await connection.close()
    return first, second


def kill_all(parent: Parent) -> None:
    for process in parent.tree():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    parent.process.wait()


def kill_only_the_parent(parent: Parent) -> None:
    parent.process.kill()
    parent.process.wait()


def kill_the_parent_and_hold_its_servers(parent: Parent) -> None:
    """The servers cannot end in time: they are stopped, so they hear nothing until they are killed."""
    servers = parent.tree()[1:]
    for server in servers:
        with suppress(psutil.NoSuchProcess):  # a worker of PostgreSQL that has ended meanwhile
            server.suspend()
    kill_only_the_parent(parent)


@pytest.mark.parametrize("end", [kill_all, kill_only_the_parent, kill_the_parent_and_hold_its_servers])
async def test_a_killed_program_finds_its_data_again(tmp_path: Path, end: Callable[[Parent], None]) -> None:
    with running(tmp_path) as first:
        await put(first, "acknowledged")
        end(first)
        with running(tmp_path) as second:
            assert await kept(second) == ("acknowledged", "acknowledged")


def test_servers_end_with_a_killed_parent(tmp_path: Path) -> None:
    with running(tmp_path) as parent:
        servers = parent.tree()[1:]
        kill_only_the_parent(parent)
        _, alive = psutil.wait_procs(servers, timeout=PATIENCE_S)
        assert not alive


def test_a_folder_with_a_long_path_gets_short_sockets_and_keeps_them(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    home = open_home(folder)
    server = start_valkey(home)
    try:
        assert len(server.url.removeprefix("unix://")) <= SOCKET_PATH_MAX_BYTES
        assert open_home(folder).sockets == home.sockets
        assert not home.sockets.is_relative_to(folder)
    finally:
        server.stop()


def test_nobody_else_may_enter_the_sockets(tmp_path: Path) -> None:
    home = open_home(tmp_path / "data")
    for name in ("vk", "pg"):
        assert (home.sockets / name).stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")
def test_root_is_given_up(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    server = start_valkey(home)
    try:
        assert psutil.Process(server.process.pid).uids().effective != 0
        assert (tmp_path / "valkey").stat().st_uid == psutil.Process(server.process.pid).uids().effective
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that root alone may enter")
def test_a_private_folder_is_no_obstacle_and_stays_private(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = start_postgres(open_home(private / "data"), options={"fsync": "off"})
    server.stop()
    assert private.stat().st_mode & 0o777 == 0o700


def test_one_folder_serves_one_program(tmp_path: Path) -> None:
    with (
        sole_user_of(tmp_path),
        pytest.raises(ProcessError, match=rf"in use by process {os.getpid()}.*data_folder"),
        sole_user_of(tmp_path),
    ):
        pass
    with sole_user_of(tmp_path):
        pass


def test_without_an_orphan_nothing_is_ended(tmp_path: Path) -> None:
    record = tmp_path / "some.pid"
    assert not end_orphan(record)
    record.write_text(f"{os.getpid()}\n")  # a process id that somebody else has by now
    assert not end_orphan(record, how=signal.SIGKILL)
