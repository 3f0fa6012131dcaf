"""Typed columns out of text: numbers, times, dates, places. What is no such value is said, not guessed.

Work on whole columns. Repeated values (times of a large feed are a few ten thousand different ones among millions) are
parsed once.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

TIME: Final = r"^\s*(\d{1,3}):([0-5]\d):([0-5]\d)\s*$"
DATE: Final = r"^\s*\d{8}\s*$"

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """A column's values; ``missing`` where the field was empty, ``wrong`` where it held something else."""

    values: npt.NDArray[np.float64]  # NaN where missing or wrong
    missing: Bools
    wrong: Bools


def column(table: pd.DataFrame, name: str) -> "pd.Series[str]":
    """Return a column as text, missing values as empty strings; all empty if the table lacks it."""
    if name not in table.columns:
        return pd.Series([""] * len(table), dtype="string")
    return table[name].astype("string").fillna("").str.strip()


def texts(table: pd.DataFrame, name: str) -> list[str]:
    """Return a column as a list of stripped strings."""
    return [str(value) for value in column(table, name).tolist()]


def times(table: pd.DataFrame, name: str) -> Parsed:
    """Return GTFS times (``H:MM:SS``, hours may pass 24) in seconds."""
    codes, unique = _factorized(table, name)
    parts = pd.Series(unique, dtype="string").str.extract(TIME)
    hours, minutes, seconds = (
        pd.to_numeric(parts[i], errors="coerce").to_numpy(np.float64, na_value=np.nan) for i in range(3)
    )
    return _spread(codes, unique, 3600 * hours + 60 * minutes + seconds)


def dates(table: pd.DataFrame, name: str) -> Parsed:
    """Return GTFS dates (``YYYYMMDD``) as proleptic ordinals."""
    codes, unique = _factorized(table, name)
    values = np.full(len(unique), np.nan)
    for i, text in enumerate(unique):
        if len(text) == 8 and text.isdigit():
            try:
                values[i] = dt.date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal()
            except ValueError:
                continue
    return _spread(codes, unique, values)


def numbers(table: pd.DataFrame, name: str) -> Parsed:
    """Return numbers as floats."""
    if name in table.columns and pd.api.types.is_numeric_dtype(table[name].dtype):
        values = table[name].to_numpy(np.float64, na_value=np.nan)
        missing = np.isnan(values)
        return Parsed(values, missing, np.zeros(len(values), dtype=np.bool_))
    codes, unique = _factorized(table, name)
    values = pd.to_numeric(pd.Series(unique, dtype="string"), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    values = np.where(np.isfinite(values), values, np.nan)
    return _spread(codes, unique, values)


def find(ids: list[str], wanted: "pd.Series[str]") -> npt.NDArray[np.int64]:
    """Return the place of each wanted id in ``ids`` (the first, if there are several), -1 where there is none."""
    index = pd.Index(ids, dtype="string")
    codes, unique = pd.factorize(wanted)  # millions of rows name few ids
    sought = pd.Index(unique)
    if not index.is_unique:
        keep = ~index.duplicated()
        found = np.append(np.flatnonzero(keep), -1)[index[keep].get_indexer(sought)]
    else:
        found = index.get_indexer(sought)
    return found.astype(np.int64)[codes]


def _factorized(table: pd.DataFrame, name: str) -> tuple[npt.NDArray[np.int64], list[str]]:
    if name not in table.columns:
        return np.zeros(len(table), dtype=np.int64), [""]
    codes, unique = pd.factorize(table[name], use_na_sentinel=False)
    return codes.astype(np.int64), ["" if pd.isna(value) else str(value).strip() for value in unique]


def _spread(codes: npt.NDArray[np.int64], unique: list[str], values: npt.NDArray[np.float64]) -> Parsed:
    empty = np.array([text == "" for text in unique], dtype=np.bool_)
    wrong = np.isnan(values) & ~empty
    return Parsed(values[codes], empty[codes], wrong[codes])
