"""Child processes that end with their parent, and orphans of a killed parent found and ended.

Each child is started through ``launcher``: it holds a lock on its record file (``run/NAME.pid``) for life. Start
children from the main thread only: the kernel's "parent died" means the *thread* that started them.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import psutil

from ayaldama import launcher
from commons.clock import monotonic_s

ORPHAN_GRACE_S: Final = 3.0  # killing harder loses nothing: all that was acknowledged is in files
POLL_S: Final = 0.02
LOCK: Final = "ayaldama.lock"


class ProcessError(Exception):
    """A process could not be started or ended; the message says which and why."""


def start(
    program: Sequence[str | Path],
    *,
    record: Path,
    output: IO[bytes] | int,
    when_parent_dies: signal.Signals = signal.SIGTERM,
    environment: Mapping[str, str] | None = None,
    keep: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start ``program`` in a process group of its own (so Ctrl-C reaches only us), its output to ``output``.

    ``keep``: file descriptors that it inherits. Its process id is in ``record`` while it lives.
    """
    arguments = [str(os.getpid()), when_parent_dies.name, str(record), *map(str, program)]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", launcher.__file__, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        pass_fds=keep,
        process_group=0,
    )


def stop(process: subprocess.Popen[bytes], *, how: signal.Signals = signal.SIGTERM, grace_s: float) -> int:
    """End ``process``: ask by the signal ``how``, after ``grace_s`` insist. Returns its exit status."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        return process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def end_orphan(record: Path, *, how: signal.Signals = signal.SIGTERM, grace_s: float = ORPHAN_GRACE_S) -> bool:
    """End what an earlier, killed parent left running under ``record``. Returns whether there was anything.

    Raises:
        ProcessError: if it survives even SIGKILL.
    """
    if not _is_held(record):
        return False
    pid = int(record.read_text(encoding="ascii").strip() or "0")
    family = _family(pid)
    for order, wait_s in ((how, grace_s), (signal.SIGKILL, 5.0)):
        for process in family[:1] if order == how else family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(order)
        deadline_s = monotonic_s() + wait_s
        while monotonic_s() < deadline_s:
            if not _is_held(record):
                return True
            time.sleep(POLL_S)
    raise ProcessError(f"{record}: process {pid} of an earlier start does not end; end it by hand")


@contextmanager
def sole_user_of(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process alone while the block runs.

    Raises:
        ProcessError: if another process holds it.
    """
    path = folder / LOCK
    with path.open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise ProcessError(
                f"{folder} is in use by process {lock.read().strip()}: stop that one first, or choose another folder "
                "with the setting data_folder (AYALDAMA_DATA_FOLDER)"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def is_used(folder: Path) -> bool:
    """Return whether a process holds ``folder`` (``sole_user_of``)."""
    return _is_held(folder / LOCK)


def _is_held(record: Path) -> bool:
    try:
        with record.open("r", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _family(pid: int) -> list[psutil.Process]:
    """Return the process and its descendants; none when it is gone."""
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except (psutil.NoSuchProcess, ValueError):
        return []
