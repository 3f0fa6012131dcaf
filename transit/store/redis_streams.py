"""Entries of a Redis stream as values, whichever protocol version and decoding the client uses."""

from dataclasses import dataclass
from typing import Any, Final, Self

FIRST_ID: Final = "0-0"  # before every entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry: its id and its raw fields."""

    stream_id: str
    fields: dict[bytes, bytes]

    @classmethod
    def of(cls, answer: Any) -> Self:
        """Return an entry of an answer to XRANGE, XREVRANGE or XREAD."""
        return cls(stream_id=text_of(answer[0]), fields=answer[1])


def entries_of(answer: Any) -> list[Entry]:
    """Return the entries of an answer to XREAD of one stream (RESP3: a map, RESP2: pairs)."""
    if not answer:
        return []
    (parts,) = answer.values() if isinstance(answer, dict) else [found for _key, found in answer]
    if isinstance(answer, dict):
        parts = [entry for part in parts for entry in part]
    return [Entry.of(part) for part in parts]


def text_of(value: bytes | str | None) -> str:
    """Return an id as text."""
    return value.decode() if isinstance(value, bytes) else value or ""
