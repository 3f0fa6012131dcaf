"""Scanners send lines, over a serial device or TCP, cut anywhere."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.validator.qr_reader import LINE_MAX, Lines, ScannerGoneError, open_scanner
from tests.patience import PATIENCE_S


@given(st.data(), st.sampled_from([b"\r", b"\n", b"\r\n"]))
def test_lines_are_the_same_wherever_the_bytes_are_cut(data: st.DataObject, end: bytes) -> None:
    sent = end.join([b"AY1:ONE", b"", b"AY1:TWO TWO", b"cut off"])
    places = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    lines = Lines()
    read = [line for a, b in zip([0, *places], [*places, len(sent)], strict=True) for line in lines.feed(sent[a:b])]
    assert read == ["AY1:ONE", "AY1:TWO TWO"]


@pytest.mark.parametrize("step", [1, 100, 1_000])
def test_a_line_too_long_to_be_a_code_is_skipped_and_the_next_one_is_read(step: int) -> None:
    sent = b"x" * (LINE_MAX + 1) + b"\nAY1:NEXT\n"
    lines = Lines()
    assert [line for at in range(0, len(sent), step) for line in lines.feed(sent[at : at + step])] == ["AY1:NEXT"]


async def test_a_serial_scanner_is_read_raw_and_its_end_is_said() -> None:
    master, slave = os.openpty()
    async with open_scanner(os.ttyname(slave)) as scanner:
        os.close(slave)
        reading = aiter(scanner)
        os.write(master, b"AY1:A CODE\r")
        async with asyncio.timeout(PATIENCE_S):
            assert await anext(reading) == "AY1:A CODE"
            os.close(master)
            with pytest.raises(OSError, match=r"hung up|Input/output"):
                await anext(reading)


async def test_a_scanner_over_tcp_is_read_until_it_hangs_up() -> None:
    async def scan(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"AY1:A\nAY1:B\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(scan, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_scanner(f"127.0.0.1:{port}") as scanner:
        reading = aiter(scanner)
        assert [await anext(reading), await anext(reading)] == ["AY1:A", "AY1:B"]
        with pytest.raises(ScannerGoneError):
            await anext(reading)


async def test_what_names_no_scanner_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match="scanner must be a path or host:port"):
        async with open_scanner("ttyACM0"):
            pass
