"""The folder of a validator: who it is, the documents it holds, its journal. One process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from fare.model import DeviceId
from fare.validator.disk import FolderDisk
from fare.validator.documents import DocumentKind, Part, Shelf, parts_of, restored
from fare.validator.enrolment import Enrolled
from fare.validator.journal import START, Head
from fare.validator.journal_file import JournalFile
from fare.validator.signing import SigningKey

IDENTITY: Final = "identity"
NEW_KEY: Final = "new-key"  # of an enrolment whose answer has not come yet
DOCUMENTS: Final = "documents"
LOCK: Final = "lock"
JOURNAL: Final = "journal"


class HomeError(Exception):
    """The folder cannot be used; the message says why."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a device is since it was enrolled. ``seed`` is its private key and leaves this file nowhere."""

    device_id: DeviceId
    city: str
    vehicle_id: str
    server: str  # where it was enrolled
    root: bytes  # the city's public key
    seed: bytes
    sequence: int  # where the journal of this key begins
    hash: bytes

    @property
    def key(self) -> SigningKey:
        """Return the device's key."""
        return SigningKey.from_bytes(self.seed)

    @property
    def start(self) -> Head:
        """Return the chain before the first record of this key."""
        return Head(sequence=self.sequence, hash=self.hash or START)

    def __repr__(self) -> str:
        return f"Identity({self.device_id!r}, {self.city!r}, {self.vehicle_id!r})"


class _Documents(msgspec.Struct, frozen=True, kw_only=True):
    parts: tuple[Part, ...]
    floors: tuple[tuple[DocumentKind, str, int], ...]


class Home:
    """A validator's folder. Methods raise OSError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._disk = FolderDisk(folder)
        self._folder = folder

    def journal_disk(self) -> FolderDisk:
        """Return the folder of the journal."""
        return FolderDisk(self._folder / JOURNAL)

    def identity(self) -> Identity | None:
        """Return who this device is, None if it was never enrolled.

        Raises:
            HomeError: if the file is damaged.
        """
        data = self._disk.read(IDENTITY)
        if not data:
            return None
        try:
            return msgspec.msgpack.decode(data, type=Identity)
        except (msgspec.DecodeError, ValueError):
            raise HomeError(f"{self._folder / IDENTITY} is damaged: enrol the device again with a new code") from None

    def new_key(self) -> SigningKey:
        """Return the key to be enrolled; the same one until ``enrolled``, so that a lost answer can be asked again."""
        seed = self._disk.read(NEW_KEY)
        if len(seed) == 32:
            return SigningKey.from_bytes(seed)
        key = SigningKey.generate()
        self._disk.replace(NEW_KEY, key.to_bytes())
        return key

    def enrolled(self, said: Enrolled, key: SigningKey, server: str) -> Identity:
        """Keep what the city said."""
        identity = Identity(
            device_id=said.device_id,
            city=said.city,
            vehicle_id=said.vehicle_id,
            server=server,
            root=said.public,
            seed=key.to_bytes(),
            sequence=said.sequence,
            hash=said.hash,
        )
        self._disk.replace(IDENTITY, msgspec.msgpack.encode(identity))
        self._disk.delete(NEW_KEY)
        return identity

    def set_journal_aside(self, identity: Identity, now_ms: int) -> Path | None:
        """Keep a journal of another history in a folder of its own, for a person to look at.

        After a fork the server goes on from its own history, which is not the one on this disk. Returns where it is
        kept, None if the histories agree.

        Raises:
            JournalError: if the journal cannot be read.
        """
        disk = self.journal_disk()
        try:
            there = JournalFile(disk, now_ms).hash_at(identity.sequence)
        finally:
            disk.close()
        if there is None or there == identity.start.hash:
            return None
        aside = self._folder / f"{JOURNAL}-before-{identity.key.key_id}"
        (self._folder / JOURNAL).rename(aside)
        return aside

    def moved(self, identity: Identity, vehicle_id: str) -> Identity:
        """Keep that the device is on another vehicle now."""
        moved = msgspec.structs.replace(identity, vehicle_id=vehicle_id)
        self._disk.replace(IDENTITY, msgspec.msgpack.encode(moved))
        return moved

    def shelf(self, identity: Identity) -> Shelf:
        """Return the documents held, each checked again; none if the file is damaged."""
        empty = Shelf(city=identity.city, root=identity.root)
        try:
            kept = msgspec.msgpack.decode(self._disk.read(DOCUMENTS), type=_Documents)
        except (msgspec.DecodeError, ValueError):
            return empty
        return restored(empty, kept.parts, {(kind, name): version for kind, name, version in kept.floors})

    def keep_shelf(self, shelf: Shelf) -> None:
        """Keep the documents held."""
        floors = tuple((kind, name, version) for (kind, name), version in shelf.floors.items())
        self._disk.replace(DOCUMENTS, msgspec.msgpack.encode(_Documents(parts=parts_of(shelf), floors=floors)))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out while the block runs.

        Raises:
            HomeError: if one is in.
        """
        descriptor = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HomeError(f"{self._folder}: another validator process uses this folder") from None
            yield
        finally:
            os.close(descriptor)
