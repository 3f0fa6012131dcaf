"""What tests of fares share."""

import importlib.util
from collections.abc import Iterator

import asyncpg
import pytest

from tests.fare.media.pcscd import NoPcscdError, Pcscd, running_pcscd


@pytest.fixture
def postgres(fare_postgres: asyncpg.Pool) -> asyncpg.Pool:
    """The tables are there: made once and copied, for making them takes longer than most tests."""
    return fare_postgres


@pytest.fixture(scope="session")
def pcscd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pcscd]:
    """One for all: the library keeps the address of the first that a process used."""
    if importlib.util.find_spec("smartcard") is None:
        pytest.skip("no pyscard: pip install 'ayaldama[pcsc]'")
    with pytest.MonkeyPatch.context() as environment:
        try:
            with running_pcscd(tmp_path_factory.mktemp("pcscd")) as running:
                environment.setenv("PCSCLITE_CSOCK_NAME", str(running.socket_path))
                yield running
        except NoPcscdError as missing:
            pytest.skip(str(missing))
