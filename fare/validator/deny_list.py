"""Lists of media that fit a small computer: the deny list, and one list per concession.

A medium is in it as the first 8 bytes of its id, all in one sorted array: 100,000 are 0.8 MB and a look-up is a binary
search. The chance that a tapping medium shares 8 bytes with one of 100,000 others is 5e-15. A list changes by deltas;
each names the version it starts from and the SHA-256 of what must come out, so a delta can never be applied to
anything else. Whether it is signed is ``fare.validator.documents``' business. Pure.
"""

import enum
import hashlib
import itertools
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from fare.model import MediumId

TOKEN_BYTES: Final = 8
DENY: Final = "deny"
SEEN: Final = "seen"  # media that the server has taken a fare from: their next ride is not a first one


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A whole list: its tokens in ascending order, big-endian, back to back."""

    tokens: bytes


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """What changed since the version before; tokens as in ``Snapshot``."""

    base_version: int
    added: bytes
    removed: bytes
    result_sha256: bytes


class Applying(enum.StrEnum):
    """What became of a delta."""

    APPLIED = enum.auto()
    WRONG_BASE = enum.auto()  # it starts from another version: ask for a snapshot
    WRONG_RESULT = enum.auto()  # it starts from this version, but not from this content
    MALFORMED = enum.auto()


@dataclass(frozen=True, slots=True)
class TokenList:
    """A list that can be looked into. ``numbers`` are sorted and without repeats."""

    numbers: "array[int]"

    def __contains__(self, medium_id: MediumId) -> bool:
        """Return whether the medium is on the list."""
        token = token_of(medium_id)
        at = bisect_left(self.numbers, token)
        return at < len(self.numbers) and self.numbers[at] == token

    def __len__(self) -> int:
        return len(self.numbers)

    def packed(self) -> bytes:
        """Return the tokens as in ``Snapshot``."""
        return _packed(self.numbers)


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


def read_snapshot(snapshot: Snapshot) -> TokenList | None:
    """Return the list of a snapshot, None if it is not sorted, has repeats or a token too short."""
    numbers = _numbers(snapshot.tokens)
    return None if numbers is None else TokenList(numbers)


def diff(old: TokenList, old_version: int, new: TokenList) -> Delta:
    """Return the delta that makes ``new`` of ``old``."""
    before, after = set(old.numbers), set(new.numbers)
    return Delta(
        base_version=old_version,
        added=_packed(array("Q", sorted(after - before))),
        removed=_packed(array("Q", sorted(before - after))),
        result_sha256=hashlib.sha256(new.packed()).digest(),
    )


def apply(held: TokenList, held_version: int, delta: Delta) -> tuple[Applying, TokenList]:
    """Return what became of ``delta`` and the list that holds from now on: ``held`` itself unless it was applied."""
    if delta.base_version != held_version:
        return Applying.WRONG_BASE, held
    added, removed = _numbers(delta.added), _numbers(delta.removed)
    if added is None or removed is None:
        return Applying.MALFORMED, held
    gone = set(removed)
    result = TokenList(array("Q", sorted({*(token for token in held.numbers if token not in gone), *added})))
    if hashlib.sha256(result.packed()).digest() != delta.result_sha256:
        return Applying.WRONG_RESULT, held
    return Applying.APPLIED, result


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
