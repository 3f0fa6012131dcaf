"""Lists of media that fit a small computer: the deny list, one list per concession, and the keys of phones.

A medium is in it as the first 8 bytes of its id, all in one sorted array: 100,000 are 0.8 MB and a look-up is a binary
search. The chance that a tapping medium shares 8 bytes with one of 100,000 others is 5e-15. A list may also say
something of each token, in as many bytes for all of them: phones' keys lie under their ids so
(``fare.phone.own_qr.listed``). A list changes by deltas; each names the version it starts from and the SHA-256 of what
must come out, so a delta can never be applied to anything else. Whether it is signed is ``fare.validator.documents``'
business. Pure.
"""

import enum
import hashlib
import itertools
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Final

import msgspec

from fare.model import MediumId

TOKEN_BYTES: Final = 8
DENY: Final = "deny"
SEEN: Final = "seen"  # media that the server has taken a fare from: their next ride is not a first one
PHONES: Final = "phones"  # keys that phones sign their codes with


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A whole list: its tokens in ascending order, big-endian, back to back, and their values in the same order."""

    tokens: bytes
    values: bytes = b""


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """What changed since the version before; tokens and values as in ``Snapshot``. One with a new value is added."""

    base_version: int
    added: bytes
    removed: bytes
    result_sha256: bytes
    added_values: bytes = b""


class Applying(enum.StrEnum):
    """What became of a delta."""

    APPLIED = enum.auto()
    WRONG_BASE = enum.auto()  # it starts from another version: ask for a snapshot
    WRONG_RESULT = enum.auto()  # it starts from this version, but not from this content
    MALFORMED = enum.auto()


@dataclass(frozen=True, slots=True)
class TokenList:
    """A list that can be looked into. ``numbers`` are sorted and without repeats; ``values`` lie in the same order."""

    numbers: "array[int]"
    values: bytes = b""

    def __contains__(self, medium_id: MediumId) -> bool:
        """Return whether the medium is on the list."""
        return self._place(token_of(medium_id)) is not None

    def __len__(self) -> int:
        return len(self.numbers)

    def value(self, token: int) -> bytes | None:
        """Return what the list says of a token, None if it is not on it."""
        place = self._place(token)
        if place is None:
            return None
        width = len(self.values) // len(self.numbers)
        return self.values[place * width : (place + 1) * width]

    def packed(self) -> bytes:
        """Return the tokens as in ``Snapshot``."""
        return _packed(self.numbers)

    def sha256(self) -> bytes:
        """Return the hash of all that the list says."""
        return hashlib.sha256(self.packed() + self.values).digest()

    def _place(self, token: int) -> int | None:
        at = bisect_left(self.numbers, token)
        return at if at < len(self.numbers) and self.numbers[at] == token else None


def token_of(medium_id: MediumId) -> int:
    """Return the 8 bytes under which a medium is listed, as a number.

    Raises:
        ValueError: if ``medium_id`` is not at least 16 hexadecimal digits.
    """
    if len(medium_id) < 2 * TOKEN_BYTES:
        raise ValueError(f"medium_id must have at least {2 * TOKEN_BYTES} hexadecimal digits: {medium_id!r}")
    return int(medium_id[: 2 * TOKEN_BYTES], 16)


def build_list(media: Iterable[MediumId]) -> TokenList:
    """Return the list of ``media``."""
    return TokenList(array("Q", sorted({token_of(medium_id) for medium_id in media})))


def build_list_of_values(values: Mapping[int, bytes]) -> TokenList:
    """Return the list of ``values`` by token.

    Raises:
        ValueError: if they are not all as long.
    """
    if len({len(value) for value in values.values()}) > 1:
        raise ValueError(f"values must have one length: {sorted({len(value) for value in values.values()})}")
    return _built(values)


def snapshot_of(whole: TokenList) -> Snapshot:
    """Return ``whole`` as it is sent."""
    return Snapshot(tokens=whole.packed(), values=whole.values)


def read_snapshot(snapshot: Snapshot) -> TokenList | None:
    """Return the list of a snapshot, None if it is not sorted, has repeats, or a token or value too short."""
    numbers = _numbers(snapshot.tokens)
    return TokenList(numbers, snapshot.values) if numbers is not None and _fit(numbers, snapshot.values) else None


def diff(old: TokenList, old_version: int, new: TokenList) -> Delta:
    """Return the delta that makes ``new`` of ``old``."""
    before, after = _valued(old.numbers, old.values), _valued(new.numbers, new.values)
    added = {token: value for token, value in after.items() if before.get(token) != value}
    changed = _built(added)
    return Delta(
        base_version=old_version,
        added=changed.packed(),
        removed=_packed(array("Q", sorted(before.keys() - after.keys()))),
        result_sha256=new.sha256(),
        added_values=changed.values,
    )


def apply(held: TokenList, held_version: int, delta: Delta) -> tuple[Applying, TokenList]:
    """Return what became of ``delta`` and the list that holds from now on: ``held`` itself unless it was applied."""
    if delta.base_version != held_version:
        return Applying.WRONG_BASE, held
    added, removed = _numbers(delta.added), _numbers(delta.removed)
    if added is None or removed is None or not _fit(added, delta.added_values):
        return Applying.MALFORMED, held
    result = _changed(held, set(removed), _valued(added, delta.added_values))
    if result.sha256() != delta.result_sha256:
        return Applying.WRONG_RESULT, held
    return Applying.APPLIED, result


def _changed(held: TokenList, gone: Set[int], changed: Mapping[int, bytes]) -> TokenList:
    """Return ``held`` without ``gone`` and with ``changed``: what lies between is copied, not looked at."""
    width = len(held.values) // len(held.numbers) if held.numbers else 0
    numbers, values, done = array("Q"), bytearray(), 0
    for token in sorted(gone | changed.keys()):
        place = bisect_left(held.numbers, token, done)
        numbers += held.numbers[done:place]
        values += held.values[done * width : place * width]
        there = place < len(held.numbers) and held.numbers[place] == token
        done = place + there
        if token in changed:
            numbers.append(token)
            values += changed[token]
    return TokenList(numbers + held.numbers[done:], bytes(values) + held.values[done * width :])


def _fit(numbers: "array[int]", values: bytes) -> bool:
    """Return whether there is a value for each token, all as long."""
    return len(values) % len(numbers) == 0 if numbers else not values


def _valued(numbers: "array[int]", values: bytes) -> dict[int, bytes]:
    width = len(values) // len(numbers) if numbers else 0
    return {token: values[place * width : (place + 1) * width] for place, token in enumerate(numbers)}


def _built(values: Mapping[int, bytes]) -> TokenList:
    tokens = sorted(values)
    return TokenList(array("Q", tokens), b"".join(values[token] for token in tokens))


def _numbers(packed: bytes) -> "array[int] | None":
    if len(packed) % TOKEN_BYTES:
        return None
    numbers = array("Q", packed)
    if sys.byteorder == "little":
        numbers.byteswap()
    in_order = all(before < after for before, after in itertools.pairwise(numbers))
    return numbers if in_order else None


def _packed(numbers: "array[int]") -> bytes:
    copy = numbers[:]
    if sys.byteorder == "little":
        copy.byteswap()
    return copy.tobytes()
