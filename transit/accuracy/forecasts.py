"""Predictions to be judged, as columns of numbers: our own as they are made, and those of any other system from a file.

A file (CSV, also gzipped, or Parquet) has the columns of ``replay --predictions-out``: ``made_at``, ``vehicle_id``,
``stop_id``, ``arrival`` in epoch seconds, and where known ``route_id``, ``direction_id``, ``trip_id``,
``stop_sequence``, ``arrival_p10``, ``arrival_p90``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from gtfs_data.network import Network

Index = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

NEEDED: Final = ("made_at", "vehicle_id", "stop_id", "arrival")
WORDS: Final = ("vehicle_id", "route_id", "direction_id", "trip_id", "stop_id")
NUMBERS: Final = ("made_at", "stop_sequence", "arrival", "arrival_p10", "arrival_p90")
NONE: Final = -1


class InputError(ValueError):
    """An input of the yardstick cannot be used: names the file, the field, the value and the rule."""


class Names:
    """Numbers for the ids of vehicles, given in order of appearance, and those of stops and routes in the network."""

    def __init__(self, network: Network) -> None:
        self._vehicles: dict[str, int] = {}
        self._stops = network.stop_by_id
        self._routes = network.route_by_id
        self._trips = network.trip_by_id

    def vehicles(self, ids: Sequence[str]) -> Codes:
        """Return the number of each vehicle; new ones get the next."""
        return _coded(ids, lambda name: self._vehicles.setdefault(name, len(self._vehicles)))

    def stops(self, ids: Sequence[str]) -> Codes:
        """Return the number of each stop, -1 where the feed has none of this id."""
        return _coded(ids, lambda name: self._stops.get(name, NONE))

    def routes(self, ids: Sequence[str]) -> Codes:
        """Return the number of each route, -1 where the feed has none of this id."""
        return _coded(ids, lambda name: self._routes.get(name, NONE))

    def trips(self, ids: Sequence[str]) -> Codes:
        """Return the number of each trip, -1 where the feed has none of this id."""
        return _coded(ids, lambda name: self._trips.get(name, NONE))


def _coded(ids: Sequence[str], number_of: Callable[[str], int]) -> Codes:
    places, names = pd.factorize(np.asarray(ids, dtype=object))
    codes = np.array([number_of(str(name)) for name in names], dtype=np.int32)
    return codes[places] if len(names) else np.zeros(0, dtype=np.int32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecasts:
    """Predictions, one each: at ``made_ms`` it was said that ``vehicle`` will be at ``stop`` at ``arrival_ms``.

    -1 stands for an unknown route, direction or sequence, NaN for an interval that was not given.
    """

    made_ms: Index
    vehicle: Codes
    route: Codes
    direction: npt.NDArray[np.int8]
    stop: Codes
    sequence: Codes
    arrival_ms: Index
    p10_ms: Floats
    p90_ms: Floats

    def __len__(self) -> int:
        """Return the number of predictions."""
        return len(self.made_ms)

    def take(self, which: npt.NDArray[np.bool_] | Index) -> "Forecasts":
        """Return some of them, by mask or by number."""
        return Forecasts(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


EMPTY: Final = Forecasts(
    made_ms=np.zeros(0, dtype=np.int64),
    vehicle=np.zeros(0, dtype=np.int32),
    route=np.zeros(0, dtype=np.int32),
    direction=np.zeros(0, dtype=np.int8),
    stop=np.zeros(0, dtype=np.int32),
    sequence=np.zeros(0, dtype=np.int32),
    arrival_ms=np.zeros(0, dtype=np.int64),
    p10_ms=np.zeros(0),
    p90_ms=np.zeros(0),
)


def joined(parts: Sequence[Forecasts]) -> Forecasts:
    """Return all of ``parts``, in order."""
    columns = {f.name: np.concatenate([getattr(part, f.name) for part in (EMPTY, *parts)]) for f in fields(Forecasts)}
    return Forecasts(**columns)


class Kept:
    """A sink of ``replay`` that keeps predictions as numbers, a tenth of what the tables need."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._parts: list[Forecasts] = []

    def write(self, table: pa.Table) -> None:
        """Take one table."""
        self._parts.append(_of_table(table.to_pandas(), self._names))

    def forecasts(self) -> Forecasts:
        """Return everything written, and let go of it."""
        parts, self._parts = self._parts, []
        return joined(parts)


def read_forecasts(path: Path, names: Names) -> Forecasts:
    """Return the predictions of the file ``path``.

    Raises:
        InputError: if a column is missing, a value is not what its column holds, or an id is not in the feed.
    """
    table = _read(path)
    for column in NEEDED:
        if column not in table.columns:
            raise InputError(f"{path.name}: column {column} is missing; needed are {', '.join(NEEDED)}")
    for column in NUMBERS:
        if column in table.columns:
            table[column] = _numbers(table[column], path, needed=column in NEEDED)
    if len(table) == 0:
        raise InputError(f"{path.name}: no rows: there is nothing to judge")
    _must_know(table, "stop_id", names.stops, "stops.txt", path)
    for column, known, listed in (("route_id", names.routes, "routes.txt"), ("trip_id", names.trips, "trips.txt")):
        if column in table.columns:
            _must_know(table[table[column] != ""], column, known, listed, path)
    return _of_table(table, names)


def _read(path: Path) -> pd.DataFrame:
    wanted = {*WORDS, *NUMBERS}
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
            table = table[[column for column in table.columns if column in wanted]]
            for column in set(WORDS) & set(table.columns):
                table[column] = table[column].astype(object).where(table[column].notna(), "").astype(str)
        else:
            words: Mapping[str, type] = dict.fromkeys(WORDS, str)
            table = pd.read_csv(path, dtype=words, keep_default_na=False, usecols=lambda name: name in wanted)
    except (ValueError, OSError) as error:
        raise InputError(f"{path.name}: cannot be read as predictions: {error}") from error
    if "direction_id" in table.columns:
        table["direction_id"] = table["direction_id"].str.removesuffix(".0")
    return table


def _numbers(column: "pd.Series[str]", path: Path, *, needed: bool) -> "pd.Series[float]":
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() if needed else numbers.isna() & column.notna() & (column.astype(str) != "")
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        value = column.iloc[row]
        raise InputError(
            f"{path.name}: row {row + 2}: {column.name} must be a number (times: epoch seconds): {value!r}"
        )
    return numbers


def _must_know(
    table: pd.DataFrame, column: str, known: Callable[[Sequence[str]], Codes], listed: str, path: Path
) -> None:
    unknown = np.flatnonzero(known(table[column].tolist()) == NONE)
    if len(unknown):
        row, value = int(table.index[unknown[0]]), table[column].iloc[int(unknown[0])]
        raise InputError(f"{path.name}: row {row + 2}: {column} {value!r} is not in {listed} of the feed")


def _of_table(table: pd.DataFrame, names: Names) -> Forecasts:
    size = len(table)

    def words(column: str, known: Callable[[Sequence[str]], Codes]) -> Codes:
        return known(table[column].tolist()) if column in table.columns else np.full(size, NONE, dtype=np.int32)

    def numbers(column: str) -> Floats:
        if column not in table.columns:
            return np.full(size, np.nan)
        return np.asarray(table[column].to_numpy(), dtype=np.float64)

    direction = pd.to_numeric(table["direction_id"], errors="coerce") if "direction_id" in table.columns else None
    return Forecasts(
        made_ms=_ms(numbers("made_at")),
        vehicle=words("vehicle_id", names.vehicles),
        route=words("route_id", names.routes),
        direction=np.full(size, NONE, dtype=np.int8)
        if direction is None
        else direction.fillna(NONE).to_numpy().astype(np.int8),
        stop=words("stop_id", names.stops),
        sequence=np.nan_to_num(numbers("stop_sequence"), nan=NONE).astype(np.int32),
        arrival_ms=_ms(numbers("arrival")),
        p10_ms=1000 * numbers("arrival_p10"),
        p90_ms=1000 * numbers("arrival_p90"),
    )


def _ms(seconds: Floats) -> Index:
    return np.asarray(np.rint(1000 * seconds), dtype=np.int64)
