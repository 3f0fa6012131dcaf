"""Demos that start in the same second take different ports."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ayaldama.demo import PortClaims

HERE = "127.0.0.1"


@pytest.fixture
def port() -> int:
    """A port that nobody uses now."""
    with socket.create_server((HERE, 0)) as server:
        found: int = server.getsockname()[1]
    return found


def test_a_port_that_another_demo_has_taken_but_not_served_yet_is_not_taken_again(tmp_path: Path, port: int) -> None:
    first, second = PortClaims(tmp_path), PortClaims(tmp_path)
    assert first.free_or(port, HERE) == port
    assert second.free_or(port, HERE) == 0
    assert second.some_port(port, HERE) not in (0, port)
    first.close()
    assert second.free_or(port, HERE) == port


def test_a_port_that_another_program_serves_is_not_taken(tmp_path: Path) -> None:
    claims = PortClaims(tmp_path)
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
        assert claims.free_or(port, HERE) == 0
        assert claims.some_port(port, HERE) not in (0, port)
    assert claims.free_or(port, HERE) == port


def test_a_demo_that_was_killed_holds_no_port(tmp_path: Path, port: int) -> None:
    program = f"""
from pathlib import Path
from ayaldama.demo import PortClaims
claims = PortClaims(Path({str(tmp_path)!r}))
print(claims.free_or({port}, "{HERE}"), flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == port
        assert PortClaims(tmp_path).free_or(port, HERE) == 0
        other.kill()
    assert PortClaims(tmp_path).free_or(port, HERE) == port
