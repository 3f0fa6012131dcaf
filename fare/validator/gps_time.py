"""The time that a vehicle's GPS says: NMEA 0183 sentence RMC, whatever talker sent it. Pure; UTC epoch milliseconds."""

import calendar
import re
from typing import Final

_RMC: Final = re.compile(
    r"\$(?P<body>..RMC,(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?:\.(?P<part>\d{1,3})\d*)?,A"
    r"(?:,[^,*]*){6},(?P<day>\d\d)(?P<month>\d\d)(?P<year>\d\d)[^*]*)\*(?P<sum>[0-9A-Fa-f]{2})\s*"
)


def gps_time_ms(sentence: str) -> int | None:
    """Return the time in an RMC sentence with a valid fix, None if it is another sentence or its checksum is wrong."""
    match = _RMC.fullmatch(sentence)
    if match is None or _checksum(match["body"]) != int(match["sum"], 16):
        return None
    year, month, day = 2000 + int(match["year"]), int(match["month"]), int(match["day"])
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    if not (1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1] and hour < 24 and minute < 60):
        return None
    whole_s = calendar.timegm((year, month, day, hour, minute, second))
    return whole_s * 1_000 + int((match["part"] or "0").ljust(3, "0"))


def _checksum(body: str) -> int:
    total = 0
    for character in body:
        total ^= ord(character)
    return total
