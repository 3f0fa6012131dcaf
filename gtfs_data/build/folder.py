"""Read a city's folder (edge) and hand its files on as bytes; nothing is judged here but whether they are there."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gtfs_data.build.problems import Problems
from gtfs_data.build.sheet import BYTES_MAX
from gtfs_data.notices import Code

CITY: Final = "city.toml"
TABLES: Final = ("stops.csv", "routes.csv", "line_stops.csv", "service.csv")
LINES: Final = "lines"
FARES: Final = "fares"
LINES_MAX: Final = 5_000


class FolderUnreadableError(ValueError):
    """There is no folder where one was named."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a folder by name, lines as ``lines/12-0.geojson``."""

    content: Mapping[str, bytes]

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the names of the drawn lines, sorted."""
        return tuple(name for name in sorted(self.content) if name.startswith(f"{LINES}/"))

    @property
    def fares(self) -> tuple[str, ...]:
        """Return the names of the fare tables, sorted."""
        return tuple(name for name in sorted(self.content) if name.startswith(f"{FARES}/"))

    def content_hash(self) -> str:
        """Return the SHA-256 of all names and bytes."""
        digest = hashlib.sha256()
        for name in sorted(self.content):
            digest.update(f"{name}\0{len(self.content[name])}\0".encode())
            digest.update(self.content[name])
        return digest.hexdigest()


def read_files(folder: Path, problems: Problems) -> Files:
    """Return the files of ``folder`` that make a city.

    Raises:
        FolderUnreadableError: if there is no such folder.
    """
    if not folder.is_dir():
        raise FolderUnreadableError(f"{folder}: no such folder")
    content: dict[str, bytes] = {}
    for name in (CITY, *TABLES):
        path = folder / name
        if path.is_file():
            content[name] = _read(path)
        else:
            problems.error(Code.MISSING_REQUIRED_FILE, name, "the file is required")
    for path in sorted((folder / FARES).glob("*.csv")):
        content[f"{FARES}/{path.name}"] = _read(path)
    lines = sorted((folder / LINES).glob("*.geojson"))
    for path in lines[:LINES_MAX]:
        content[f"{LINES}/{path.name}"] = _read(path)
    if len(lines) > LINES_MAX:
        problems.error(Code.OUT_OF_RANGE, LINES, f"may hold up to {LINES_MAX} lines", value=len(lines))
    return Files(content)


def _read(path: Path) -> bytes:
    """Return the bytes of a file; of one that is too large, just enough to be seen as too large."""
    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)
