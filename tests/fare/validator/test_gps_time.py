"""The time in NMEA sentences. The first two are the examples of gpsd's "NMEA Revealed" and of the u-blox manual."""

import asyncio

import pytest

from fare.validator.gps import follow_gps
from fare.validator.gps_time import gps_time_ms
from tests.patience import PATIENCE_S


@pytest.mark.parametrize(
    ("sentence", "ms"),
    [
        ("$GPRMC,225446.33,A,4916.45,N,12311.12,W,000.5,054.7,191194,020.3,E*", None),
        ("$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A*57", 1_039_422_959_000),
        ("$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A*57\r\n", 1_039_422_959_000),
        ("$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A*58", None),
        ("$GPRMC,083559.00,V,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,N*4F", None),
        ("$GPGGA,092725.00,4717.11399,N,00833.91590,E,1,08,1.01,499.6,M,48.0,M,,*5B", None),
        ("", None),
    ],
)
def test_only_a_whole_sentence_with_a_fix_has_a_time(sentence: str, ms: int | None) -> None:
    assert gps_time_ms(sentence) == ms


def test_days_that_no_calendar_has_are_no_time() -> None:
    body = "GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,310226,,,A"
    total = 0
    for character in body:
        total ^= ord(character)
    assert gps_time_ms(f"${body}*{total:02X}") is None


async def test_sentences_come_over_tcp() -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"$GPGGA,,,,*00\r\n\xff\r\n$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A*57\r\n"
        )
        await writer.drain()

    heard: asyncio.Queue[int] = asyncio.Queue()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    following = asyncio.create_task(follow_gps("127.0.0.1", server.sockets[0].getsockname()[1], heard.put))
    async with asyncio.timeout(PATIENCE_S):
        assert await heard.get() == 1_039_422_959_000
    following.cancel()
    server.close()
