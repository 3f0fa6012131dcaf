"""Compiled networks on disk, one file per feed content, so that a start takes a fraction of a second.

A file is a head (length and checksum of the rest, then names, scalars and where each array lies, as MessagePack) and
the arrays, mapped into memory and not copied. A file of another version, cut short or damaged is taken for absent.
"""

import dataclasses
import datetime as dt
import mmap
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from gtfs_data.network import Frequencies, Network, Patterns, Routes, Services, Stops, Trips

VERSION: Final = 5  # grows with every change of what is compiled or how
MAGIC: Final = b"ayaldama network\n"
PARTS: Final[Mapping[str, type]] = {
    "stops": Stops,
    "routes": Routes,
    "patterns": Patterns,
    "trips": Trips,
    "frequencies": Frequencies,
    "services": Services,
}


class _Array(msgspec.Struct, frozen=True, array_like=True):
    start: int
    dtype: str
    shape: tuple[int, ...]


class _Head(msgspec.Struct, frozen=True):
    version: int
    scalars: dict[str, str | int]
    texts: dict[str, list[str]]
    languages: dict[str, dict[str, list[str]]]
    arrays: dict[str, _Array]
    first_date: dt.date
    size: int
    checksum: int


def save(folder: Path, network: Network) -> Path:
    """Write ``network`` into ``folder``; a reader sees the whole file or none."""
    texts: dict[str, list[str]] = {}
    languages: dict[str, dict[str, list[str]]] = {}
    arrays: dict[str, _Array] = {}
    body = bytearray()
    for part_name in PARTS:
        part = getattr(network, part_name)
        for field in dataclasses.fields(part):
            name, value = f"{part_name}.{field.name}", getattr(part, field.name)
            if isinstance(value, np.ndarray):
                body.extend(b"\0" * (-len(body) % 64))
                arrays[name] = _Array(len(body), value.dtype.str, value.shape)
                body.extend(np.ascontiguousarray(value).tobytes())
            elif isinstance(value, tuple):
                texts[name] = list(value)
            elif isinstance(value, dict):
                languages[name] = {language: list(names) for language, names in value.items()}
    scalars = {f.name: getattr(network, f.name) for f in dataclasses.fields(network) if f.name not in PARTS}
    head = msgspec.msgpack.encode(
        _Head(
            version=VERSION,
            scalars=scalars,
            texts=texts,
            languages=languages,
            arrays=arrays,
            first_date=network.services.first_date,
            size=len(body),
            checksum=zlib.crc32(body),
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, network.feed_hash)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".network-", delete=False) as part_file:
        part_file.write(MAGIC + len(head).to_bytes(8, "little") + zlib.crc32(head).to_bytes(4, "little") + head)
        part_file.write(b"\0" * (-part_file.tell() % 64) + body)
        part_file.flush()
        os.fsync(part_file.fileno())
    Path(part_file.name).replace(path)
    return path


def load(folder: Path, feed_hash: str) -> Network | None:
    """Return the network compiled from the feed of ``feed_hash``, None if there is none that can be trusted."""
    path = _path(folder, feed_hash)
    if not path.is_file() or path.stat().st_size < len(MAGIC) + 12:
        return None
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    view = memoryview(data)
    at = len(MAGIC)
    length, checksum = int.from_bytes(view[at : at + 8], "little"), int.from_bytes(view[at + 8 : at + 12], "little")
    packed = view[at + 12 : at + 12 + length]
    if bytes(view[:at]) != MAGIC or len(packed) != length or zlib.crc32(packed) != checksum:
        return None
    try:
        head = msgspec.msgpack.decode(packed, type=_Head)
    except msgspec.MsgspecError:
        return None
    start = at + 12 + length
    body = view[start + (-start % 64) :]
    if head.version != VERSION or len(body) != head.size or zlib.crc32(body) != head.checksum:
        return None
    parts: dict[str, Any] = {name: _part(name, kind, head, body) for name, kind in PARTS.items()}
    scalars: dict[str, Any] = dict(head.scalars)
    return Network(**scalars, **parts) if scalars["feed_hash"] == feed_hash else None


def _part(part_name: str, kind: type[Any], head: _Head, body: memoryview) -> Any:
    values: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        key = f"{part_name}.{name}"
        if key in head.arrays:
            array = head.arrays[key]
            count = int(np.prod(array.shape, dtype=np.int64))
            flat = np.frombuffer(body, dtype=np.dtype(array.dtype), count=count, offset=array.start)
            values[name] = flat.reshape(array.shape)
        elif key in head.texts:
            values[name] = tuple(head.texts[key])
        elif key in head.languages:
            values[name] = {language: tuple(names) for language, names in head.languages[key].items()}
        elif hint is dt.date:
            values[name] = head.first_date
        else:
            raise TypeError(f"{key}: {get_origin(hint)}{get_args(hint)} is not kept on disk")
    return kind(**values)


def _path(folder: Path, feed_hash: str) -> Path:
    return folder / f"{feed_hash}.network"
