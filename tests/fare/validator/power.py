"""A disk in memory whose power can be cut: what was not synced may be there, half there, or not there."""

import random


class PowerCutError(OSError):
    """The power went away in the middle of an operation."""


class UnsafeDisk:
    """``operations_left`` operations work; then each fails until ``restart``, which loses what was not synced."""

    def __init__(self, operations_left: int = 10**9) -> None:
        self.operations_left = operations_left
        self.durable: dict[str, bytes] = {}
        self.volatile: dict[str, bytes] = {}  # what a running system reads
        self.syncs = 0

    def restart(self, chance: random.Random) -> None:
        """Lose any part of what was written and not synced."""
        for name, data in list(self.volatile.items()):
            safe = self.durable.get(name)
            if safe is None and chance.random() < 0.5:
                del self.volatile[name]
                continue
            tail = bytearray(data[len(safe or b"") :])
            tail = tail[: chance.randint(0, len(tail))]
            if tail and chance.random() < 0.3:  # pages are written in any order: a hole of zeros
                at = chance.randrange(len(tail))
                tail[at : at + 16] = bytes(len(tail[at : at + 16]))
            self.volatile[name] = (safe or b"") + bytes(tail)
        self.durable = dict(self.volatile)
        self.operations_left = 10**9

    def names(self) -> list[str]:
        return sorted(self.volatile)

    def read(self, name: str) -> bytes:
        return self.volatile.get(name, b"")

    def append(self, name: str, data: bytes) -> None:
        before = self.volatile.get(name, b"")
        if self.operations_left <= 0:
            self.volatile[name] = before + data[: len(data) // 2]
        self._operate()
        self.volatile[name] = before + data

    def sync(self, name: str) -> None:
        self._operate()
        self.syncs += 1
        self.durable[name] = self.volatile[name]

    def cut(self, name: str, size: int) -> None:
        self._operate()
        self.volatile[name] = self.durable[name] = self.volatile[name][:size]

    def replace(self, name: str, data: bytes) -> None:
        self._operate()
        self.volatile[name] = self.durable[name] = data

    def delete(self, name: str) -> None:
        self._operate()
        self.volatile.pop(name, None)
        self.durable.pop(name, None)

    def _operate(self) -> None:
        self.operations_left -= 1
        if self.operations_left < 0:
            raise PowerCutError("no power")
