"""What tests of gateways share."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fare.gateways.message_centre import VENDOR


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        number: int = one.getsockname()[1]
        return number


@pytest.fixture(scope="module")
def centres() -> Iterator[int]:
    """Start a program that makes centres; give the port on which it is asked for one."""
    program = ["node", str(Path(__file__).with_name("smsc.js")), str(VENDOR)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield int(process.stdout.readline())
        process.stdin.close()
