"""Many values on their way to the database: as rows for COPY in binary form, and as parameters of a query.

The form is that of PostgreSQL's documentation of COPY, "Binary Format": a header; for each row the number of its fields
and for each field its length and its bytes, length -1 for NULL. Numbers are big-endian, an enum value is its label, an
array is what ``array_recv`` reads: dimensions, whether there are NULLs, type, length, lower bound, elements. asyncpg
would encode the same, but looks at each element of an array whether it is an array itself, which takes longer than all
else; therefore a parameter of many values is better a JSON array.
"""

import functools
import itertools
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

NULL: Final = b"\xff\xff\xff\xff"
INT4_BYTES: Final = 4
INT8_BYTES: Final = 8
FEW: Final = 8  # rows: INSERT is quicker than COPY for at most so many
FEW_AT_ONCE: Final = 3  # rows of a table in one statement: each number of them is a statement that is prepared

_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no extension
_TRAILER: Final = b"\xff\xff"
_SIZE: Final = struct.Struct(">i")
_INT8: Final = struct.Struct(">q")
_SIZES_KEPT: Final = 256  # longer fields are rare
_SIZES: Final[Sequence[bytes]] = [_SIZE.pack(length) for length in range(_SIZES_KEPT)]
_INT8_OID: Final = 20  # pg_type.dat
_TEXT_OID: Final = 25


async def copy_rows(connection: asyncpg.Connection, table: str, columns: Sequence[str], rows: Iterable[bytes]) -> None:
    """Insert ``rows``, each the number of its fields and the fields, into ``columns`` of ``table``.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if they are not inserted.
    """
    data = b"".join((_HEADER, *rows, _TRAILER))
    # A view, because asyncpg takes bytes for the name of a file.
    await connection.copy_to_table(table, source=memoryview(data), columns=columns, format="binary")


async def insert_few(
    connection: asyncpg.Connection, table: str, columns: Sequence[str], records: Iterable[Sequence[object]]
) -> None:
    """Insert ``records``, the values of ``columns``, each in a statement of its own: one message to the server.

    COPY is three, each of which a live tap waits for, and is worth it from some ten rows on.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if they are not inserted.
    """
    await connection.executemany(_insert(table, tuple(columns)), records)


@dataclass(frozen=True, slots=True)
class Rows:
    """A few values of ``columns`` to be inserted into ``table``."""

    table: str
    columns: tuple[str, ...]
    records: Sequence[Sequence[object]]


async def fetchrow_inserting(
    connection: asyncpg.Connection, query: str, *parameters: object, inserting: Iterable[Rows]
) -> asyncpg.Record:
    """Return the row that ``query`` gives, a SELECT with these parameters, and insert rows in the same statement.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: if the database does not answer.
    """
    some = [rows for rows in inserting if rows.records]
    shapes = tuple((rows.table, rows.columns, len(rows.records)) for rows in some)
    values = [value for rows in some for record in rows.records for value in record]
    return await connection.fetchrow(_inserting(query, len(parameters), shapes), *parameters, *values)


@functools.lru_cache(maxsize=256)
def _inserting(query: str, parameters: int, shapes: tuple[tuple[str, tuple[str, ...], int], ...]) -> str:
    places = itertools.count(parameters + 1)
    parts = []
    for number, (table, columns, rows) in enumerate(shapes):
        values = ", ".join(f"({', '.join(f'${next(places)}' for _ in columns)})" for _ in range(rows))
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}"  # noqa: S608 - names of our own
        parts.append(f"inserted_{number} AS ({insert})")
    return f"WITH {', '.join(parts)} {query}" if parts else query


@functools.cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    values = ", ".join(f"${place}" for place, _ in enumerate(columns, 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"  # noqa: S608 - names of our own


def json_array(values: Sequence[str] | Sequence[int]) -> str:
    """Return a parameter for ``json_array_elements_text``."""
    return msgspec.json.encode(values).decode()


def sized(data: bytes) -> bytes:
    """Return a field of these bytes."""
    length = len(data)
    return (_SIZES[length] if length < _SIZES_KEPT else _SIZE.pack(length)) + data


def text(value: str) -> bytes:
    """Return a field of a text, or of an enum by its label."""
    data = value.encode()
    length = len(data)
    return (_SIZES[length] if length < _SIZES_KEPT else _SIZE.pack(length)) + data


def numbers(values: Sequence[int]) -> bytes:
    """Return a field of type bigint[]."""
    if len(values) == 1:  # as most rides have it: one category
        return _ONE_NUMBER + _INT8.pack(values[0])
    elements = [INT8_BYTES] * (2 * len(values))
    elements[1::2] = values
    return sized(_array_head(len(values), _INT8_OID) + _sized_numbers(len(values)).pack(*elements))


def before_first(length: int) -> bytes:
    """Return what stands before the first number of a field of type bigint[] that has ``length`` of them."""
    size = len(_array_head(length, _INT8_OID)) + length * (INT4_BYTES + INT8_BYTES)
    return _SIZE.pack(size) + _array_head(length, _INT8_OID) + _SIZE.pack(INT8_BYTES)


def texts(values: Sequence[str]) -> bytes:
    """Return a field of type text[]."""
    return sized(_array_head(len(values), _TEXT_OID) + b"".join([text(value) for value in values]))


@functools.cache
def _array_head(length: int, element_oid: int) -> bytes:
    """Return what stands before the elements of an array, which has one dimension unless it is empty."""
    return struct.pack(">iiiii", 1, 0, element_oid, length, 1) if length else struct.pack(">iii", 0, 0, element_oid)


@functools.cache
def _sized_numbers(length: int) -> struct.Struct:
    return struct.Struct(">" + length * "iq")


_ONE_NUMBER: Final = before_first(1)
