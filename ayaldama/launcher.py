"""Become a program that ends with the one who started it and is known while it lives. Run as a script by ``processes``.

``launcher.py PARENT_PID SIGNAL RECORD PROGRAM [ARGUMENT…]`` locks the file RECORD, writes its process id there, asks
the kernel for SIGNAL when PARENT_PID dies, and turns into PROGRAM. The lock passes on to PROGRAM and to its children,
so a free lock proves that none of them is left, whatever was killed and whichever process ids were used again since.
Only the standard library is imported: this stands in the way of every start.
"""

import ctypes
import fcntl
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
ALREADY_RUNNING: Final = 75  # exit status, EX_TEMPFAIL


def main(arguments: list[str]) -> None:
    """Lock, register, exec. Returns only by an exception or an exit."""
    parent, signal_name, record, *program = arguments
    descriptor = os.open(record, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(ALREADY_RUNNING)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    os.set_inheritable(descriptor, True)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.Signals[signal_name].value, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the process that started me has died already")
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
