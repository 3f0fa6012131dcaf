"""A pcscd of our own with a virtual reader of two slots. It has its own mount namespace and socket."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from tests.patience import PATIENCE_S

DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
READER = "Sample Reader"


class NoPcscdError(Exception):
    """What is missing, in words for a skipped test."""


@dataclass(frozen=True, kw_only=True)
class Pcscd:
    socket_path: Path  # for PCSCLITE_CSOCK_NAME
    ports: tuple[int, int]  # where each slot waits for its card


@contextmanager
def running_pcscd(folder: Path) -> Iterator[Pcscd]:
    pcscd = shutil.which("pcscd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if pcscd is None or not DRIVER.exists():
        raise NoPcscdError("no virtual card reader: apt install pcscd vsmartcard-vpcd")
    first = _two_free_ports()
    readers, run = folder / "readers", folder / "run"
    for made in (readers, run / "pcscd"):
        made.mkdir(parents=True)
    (readers / "vpcd").write_text(
        f'FRIENDLYNAME "{READER}"\nDEVICENAME /dev/null:{first:#x}\nLIBPATH {DRIVER}\nCHANNELID {first:#x}\n'
    )
    inside = f"mount --bind {run} /run && exec {pcscd} --foreground --config {readers}"
    namespace = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    process = subprocess.Popen(
        [*namespace, "sh", "-c", inside], stdout=(folder / "log").open("wb"), stderr=subprocess.STDOUT
    )
    try:
        path = run / "pcscd" / "pcscd.comm"
        give_up_s = monotonic() + PATIENCE_S
        while not _answers(path):
            if process.poll() is not None or monotonic() > give_up_s:
                raise NoPcscdError(f"pcscd did not start: {(folder / 'log').read_text(errors='replace')[-300:]}")
            sleep(0.02)
        yield Pcscd(socket_path=path, ports=(first, first + 1))
    finally:
        process.terminate()
        process.wait()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(str(path)) == 0


def _two_free_ports() -> int:
    while True:
        with ExitStack() as opened:
            one = opened.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            first: int = one.getsockname()[1]
            try:
                opened.enter_context(socket.socket()).bind(("127.0.0.1", first + 1))
            except (OSError, OverflowError):
                continue
            return first
