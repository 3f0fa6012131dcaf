"""The supervisor on real servers and a real process: order, restart, stop, and what a kill leaves behind."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from ayaldama.log_file import KEPT, LogFile
from tests.patience import PATIENCE_S

PROGRAM = """
import sys
from pathlib import Path
from ayaldama import supervisor
from ayaldama.commands._base import console, explained
from ayaldama.settings_source import read_settings
from ayaldama.system import CITY, run_system
from ayaldama.terminal import Steps

supervisor.STOP_GRACE_S = 3_600.0  # nothing here ends because somebody lost patience
options = {"data_folder": Path(sys.argv[1]), "intake.ports.osmand": sys.argv[2], "intake.ports.wialon_ips": "0"}
settings = read_settings(environment={}, command_line=options).settings
with explained():
    run_system(
        settings,
        steps=Steps(console()),
        announce=lambda settings, ports: print("ready", ports["osmand"], flush=True),
        planned=CITY[:1],
    )
"""


class System:
    """Servers and intake of one folder."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = []
        self.port = 0
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("ready"):
                self.port = int(line.split()[1])
                break

    def process_of(self, name: str) -> psutil.Process:
        return psutil.Process(int((self.folder / "run" / f"{name}.pid").read_text()))

    def tree(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / "logs" / "ayaldama.log").read_text().splitlines()]


@contextmanager
def running(folder: Path, port: int = 0) -> Iterator[System]:
    system = System(folder, port)
    tree = system.tree() if system.process.poll() is None else []
    try:
        yield system
    finally:
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        system.process.wait()


def eventually(holds: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Wait until ``holds``; the limit is only there to end a test that fails."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def test_what_dies_starts_again_on_the_same_port_and_the_end_is_in_order(tmp_path: Path) -> None:
    with running(tmp_path) as system:
        for name in ("intake", "valkey", "postgres"):
            record = tmp_path / "run" / f"{name}.pid"
            died = record.read_text()
            system.process_of(name).kill()
            eventually(lambda record=record, died=died: record.read_text() not in {"", died})
        eventually(lambda: answers(system.port))
        addresses = tmp_path / "run" / "addresses.json"  # for commands
        assert addresses.exists()
        tree = system.tree()
        system.process.terminate()
        assert system.process.wait(timeout=PATIENCE_S) == 0
        assert not any(process.is_running() for process in tree)
        events = [str(event["event"]) for event in system.log()]
        assert "process died, starts again" in events
        assert events.count("server died, starts again") == 2
        assert events[-1] == "ended in order"
        assert not addresses.exists()


def test_a_killed_tree_starts_again_on_the_same_port(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        for process in first.tree():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with running(tmp_path, first.port) as second:
            assert second.port == first.port
            assert answers(second.port)


def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    with running(tmp_path) as system:
        children = system.tree()[1:]
        system.process.kill()
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
        assert not alive


def test_a_second_program_on_the_same_data_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with running(tmp_path) as first, running(tmp_path) as second:
        assert second.process.wait(timeout=PATIENCE_S) == 69
        assert f"in use by process {first.process.pid}" in "".join(second.said)


def test_a_port_that_is_taken_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, port) as system:
            assert system.process.wait(timeout=PATIENCE_S) == 69
            said = "".join(system.said)
            assert "intake ended with status 69" in said
            assert str(port) in said
            assert "Traceback" not in said


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as system:
        system.process_of("intake").suspend()  # it cannot end in order
        system.process.send_signal(signal.SIGINT)
        system.process.send_signal(signal.SIGTERM)  # another number: two equal ones may reach a process as one
        assert system.process.wait(timeout=PATIENCE_S) == 0  # less than the grace that the first signal gives


@pytest.mark.parametrize("line", [b'{"event": "words", "error": "facts"}', b"Traceback (most recent call last):"])
def test_every_line_of_the_log_file_is_json(tmp_path: Path, line: bytes) -> None:
    with LogFile(tmp_path / "a.log") as log:
        log.take("web", line)
    assert json.loads((tmp_path / "a.log").read_text())["event"] in {"words", "Traceback (most recent call last):"}


def test_log_files_stay_small_and_few(tmp_path: Path) -> None:
    with LogFile(tmp_path / "a.log", max_bytes=1_000) as log:
        for number in range(1_000):
            log.write(f"{number:99}\n")
    files = sorted(tmp_path.iterdir())
    assert len(files) == KEPT + 1
    assert all(file.stat().st_size <= 1_200 for file in files)
