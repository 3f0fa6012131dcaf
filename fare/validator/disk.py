"""The few things a validator asks of a file system, so that tests can cut the power between any two of them."""

import os
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """A folder of files. What ``append`` wrote survives a power cut only after ``sync`` of that file has returned."""

    def names(self) -> list[str]:
        """Return the names of all files."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes; empty if it does not exist."""

    def append(self, name: str, data: bytes) -> None:
        """Write at the end of a file, which is made when it does not exist."""

    def sync(self, name: str) -> None:
        """Return when what was appended, and the file itself, is on the medium."""

    def cut(self, name: str, size: int) -> None:
        """Keep only the first ``size`` bytes of a file, durably."""

    def replace(self, name: str, data: bytes) -> None:
        """Put ``data`` in the place of a file, durably, all or nothing."""

    def delete(self, name: str) -> None:
        """Remove a file."""


class FolderDisk:
    """A real folder. Every method raises OSError if the system refuses; what was appended may then be half there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._open: dict[str, int] = {}

    def names(self) -> list[str]:
        """Return the names of all files."""
        return sorted(path.name for path in self._folder.iterdir() if path.is_file())

    def read(self, name: str) -> bytes:
        """Return a file's bytes; empty if it does not exist."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return b""

    def append(self, name: str, data: bytes) -> None:
        """Write at the end of a file, which is made when it does not exist."""
        descriptor = self._open.get(name)
        if descriptor is None:
            descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._open[name] = descriptor
            self._sync_folder()
        written = 0
        while written < len(data):
            written += os.write(descriptor, data[written:])

    def sync(self, name: str) -> None:
        """Return when what was appended is on the medium (fdatasync writes the length too)."""
        os.fdatasync(self._open[name])

    def cut(self, name: str, size: int) -> None:
        """Keep only the first ``size`` bytes of a file, durably."""
        with (self._folder / name).open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())

    def replace(self, name: str, data: bytes) -> None:
        """Put ``data`` in the place of a file, durably, all or nothing."""
        self._close(name)
        fresh = self._folder / f".{name}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._folder / name)
        self._sync_folder()

    def delete(self, name: str) -> None:
        """Remove a file."""
        self._close(name)
        (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close what is open."""
        for name in list(self._open):
            self._close(name)

    def _close(self, name: str) -> None:
        descriptor = self._open.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
