"""Files of what a replay says, a table at a time."""

import csv
import gzip
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

import pyarrow as pa
import pyarrow.parquet as pq


class Sink(Protocol):
    """Where tables go."""

    def write(self, table: pa.Table) -> None:
        """Take one table."""


class TableFile:
    """Writes tables of one ``schema`` as CSV, gzipped CSV or Parquet, by the file's suffix; whole or not at all.

    Raises:
        ValueError: if the suffix is another.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        if not path.name.endswith((".csv", ".csv.gz", ".parquet")):
            raise ValueError(f"{path.name}: this table is written as .csv, .csv.gz or .parquet")
        self._path, self._schema = path, schema
        self._part = path.with_name(f".{path.name}.part")
        self._text: TextIO | None = None
        self._parquet: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        """Open the file."""
        if not self._path.name.endswith(".parquet"):
            opened = gzip.open if self._path.suffix == ".gz" else open
            self._text = opened(self._part, "wt", encoding="utf-8", newline="")
            csv.writer(self._text).writerow(self._schema.names)
        return self

    def write(self, table: pa.Table) -> None:
        """Append one table."""
        if self._text is not None:
            columns = (table.column(name).to_pylist() for name in self._schema.names)
            csv.writer(self._text).writerows(zip(*columns, strict=True))
            return
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._part, self._schema)
        self._parquet.write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; a file half written because of an error does not stay."""
        if self._text is not None:
            self._text.close()
        elif self._parquet is None:  # nothing was to be written: a file without rows says so
            self._parquet = pq.ParquetWriter(self._part, self._schema)
        if self._parquet is not None:
            self._parquet.close()
        if kind is None and self._part.exists():
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)
