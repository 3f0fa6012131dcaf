"""Read a GTFS feed, zip or folder, into tables through gtfs-kit.

A table that gtfs-kit cannot read because of single bad values is read as text instead, so that ``check`` can name each
of them; what cannot be read at all is a ``Notice`` too.
"""

import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import gtfs_kit
import pandas as pd

from gtfs_data.notices import Code, Notice, Severity

TABLES: Final = (
    *("agency", "stops", "routes", "trips", "stop_times", "calendar", "calendar_dates"),
    *("shapes", "frequencies", "translations", "feed_info"),
)
BYTES_MAX: Final = 4 << 30  # unpacked: no city has more, and a zip bomb has
# what zipfile raises of members that are damaged, encrypted or packed in a way it does not know
DAMAGED: Final = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)


class FeedUnreadableError(ValueError):
    """The feed is no zip or folder of text tables; the message says what it is instead."""


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The tables of a feed, empty ones left out, and what was wrong in reading them."""

    content_hash: str
    by_name: dict[str, pd.DataFrame]
    notices: tuple[Notice, ...]

    def get(self, name: str) -> pd.DataFrame:
        """Return table ``name``, an empty one without columns if the feed lacks it."""
        return self.by_name.get(name, pd.DataFrame())


def content_hash(path: Path) -> str:
    """Return the SHA-256 of the feed's bytes: of the zip, or of the text files of a folder with their names.

    Raises:
        FeedUnreadableError: if there is nothing at ``path``.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(_folder(path).glob("*.txt")):
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    elif path.is_file():
        with path.open("rb") as zipped:
            while block := zipped.read(1 << 20):
                digest.update(block)
    else:
        raise FeedUnreadableError(f"{path}: no such file or folder")
    return digest.hexdigest()


def read_tables(path: Path) -> Tables:
    """Return the tables of the feed at ``path``.

    Raises:
        FeedUnreadableError: if ``path`` is neither a folder nor a zip, or holds no GTFS table.
    """
    digest = content_hash(path)
    members = _members(path)
    tables: dict[str, pd.DataFrame] = {}
    notices: list[Notice] = []
    try:
        feed = gtfs_kit.read_feed(_folder(path) if path.is_dir() else path, dist_units="m")
    except (ValueError, TypeError, LookupError, ArithmeticError, OSError, pd.errors.ParserError, *DAMAGED):
        feed = None  # one bad value refuses a whole feed: each table is read apart, as text
    for name in TABLES:
        table = getattr(feed, name, None) if feed is not None else None
        if table is None and name in members:
            table, wrong = _as_text(path, members[name])
            notices += wrong
        if table is not None and len(table):
            tables[name] = table
    return Tables(digest, tables, tuple(notices))


def read_texts(path: Path, names: Collection[str]) -> Tables:
    """Return the tables of ``names`` that the feed at ``path`` has, every value as text.

    Raises:
        FeedUnreadableError: as ``read_tables``.
    """
    tables: dict[str, pd.DataFrame] = {}
    notices: list[Notice] = []
    for name, member in _members(path).items():
        if name in names:
            table, wrong = _as_text(path, member)
            notices += wrong
            if table is not None and len(table):
                tables[name] = table
    return Tables(content_hash(path), tables, tuple(notices))


def texts_of(files: Mapping[str, bytes], names: Collection[str]) -> Tables:
    """Return the tables of ``names`` among ``files``, such as ``stops.txt``, that are no feed yet."""
    tables: dict[str, pd.DataFrame] = {}
    notices: list[Notice] = []
    for name in sorted(names):
        if f"{name}.txt" in files:
            table, wrong = _parsed(f"{name}.txt", io.BytesIO(files[f"{name}.txt"]))
            notices += wrong
            if table is not None and len(table):
                tables[name] = table
    return Tables("", tables, tuple(notices))


def _members(path: Path) -> dict[str, str]:
    """Return the file of each table by the table's name; files that are no GTFS table do no harm."""
    if path.is_dir():
        names = [file.name for file in _folder(path).glob("*.txt")]
    else:
        try:
            with zipfile.ZipFile(path) as zipped:
                infos = [info for info in zipped.infolist() if not info.is_dir()]
        except (zipfile.BadZipFile, OSError) as error:
            raise FeedUnreadableError(f"{path.name}: neither a folder nor a zip file: {error}") from error
        if sum(info.file_size for info in infos) > BYTES_MAX:
            raise FeedUnreadableError(f"{path.name}: unpacks to more than {BYTES_MAX >> 30} GiB")
        names = [info.filename for info in infos if not info.filename.startswith("__MACOSX")]
    found = {Path(name).stem: name for name in names if name.endswith(".txt")}
    if not found.keys() & set(TABLES):
        raise FeedUnreadableError(f"{path.name}: holds no GTFS table such as stops.txt")
    return found


def _folder(path: Path) -> Path:
    """Return the folder that holds the tables: ``path``, or the only folder within it."""
    inner = [child for child in path.iterdir() if child.is_dir()]
    return inner[0] if len(inner) == 1 and not list(path.glob("*.txt")) else path


@contextmanager
def _opened(path: Path, member: str) -> Iterator[IO[bytes]]:
    if path.is_dir():
        with (_folder(path) / member).open("rb") as file:
            yield file
    else:
        with zipfile.ZipFile(path) as zipped, zipped.open(member) as packed:
            yield packed


def _as_text(path: Path, member: str) -> tuple[pd.DataFrame | None, list[Notice]]:
    name = f"{Path(member).stem}.txt"
    try:
        with _opened(path, member) as file:
            return _parsed(name, file)
    except (*DAMAGED, OSError) as error:
        return None, [_unreadable(name, str(error), "the file must be whole and not encrypted")]


def _parsed(name: str, file: IO[bytes]) -> tuple[pd.DataFrame | None, list[Notice]]:
    try:
        table = pd.read_csv(file, dtype="string", keep_default_na=False, na_values=["", " "], encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return None, [_unreadable(name, f"byte {error.start}", "the file must be UTF-8")]
    except pd.errors.EmptyDataError:
        return None, []
    except (pd.errors.ParserError, ValueError) as error:
        return None, [_unreadable(name, str(error).splitlines()[0], "the file must be comma-separated text")]
    table.columns = table.columns.str.strip()
    return table, []


def _unreadable(file: str, value: str, rule: str) -> Notice:
    return Notice(severity=Severity.ERROR, code=Code.FILE_UNREADABLE, file=file, value=value, rule=rule)
