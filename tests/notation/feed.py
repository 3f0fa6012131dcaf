"""GTFS feeds written as text: tables as ``name.txt``, a header and rows, columns separated by blanks.

A dash is an empty field, a tilde a blank inside one. Places are metres in a small town, so that shapes can be
drawn by hand: columns ``x`` and ``y`` become latitude and longitude. Tables not given are those of ``SMALL``.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyproj

from gtfs_data.compile import Compiled, compile_feed
from gtfs_data.network import Network
from gtfs_data.notices import Notice

EPSG = 32641
CENTRE = (697_000.0, 4_970_000.0)  # in Kyzylorda
PLACES = {"stops": ("stop_lat", "stop_lon"), "shapes": ("shape_pt_lat", "shape_pt_lon")}

# Four stops 1 km apart on a straight street; one trip east on every day of March 2026.
SMALL = """
agency
agency_id  agency_name  agency_url          agency_timezone  agency_lang
A          Town         https://example.kz  Asia/Qyzylorda   kk

stops
stop_id  stop_name  x     y
S0       Depot      0     0
S1       Bazaar     1000  0
S2       School     2000  0
S3       Station    3000  0

routes
route_id  agency_id  route_short_name  route_long_name  route_type
R1        A          1                 Depot~-~Station  3

trips
route_id  service_id  trip_id  direction_id  shape_id
R1        daily       T1       0             line

stop_times
trip_id  arrival_time  departure_time  stop_id  stop_sequence
T1       08:00:00      08:00:00        S0       1
T1       08:05:00      08:05:00        S1       2
T1       08:10:00      08:10:00        S2       3
T1       08:15:00      08:15:00        S3       4

calendar
service_id  monday  tuesday  wednesday  thursday  friday  saturday  sunday  start_date  end_date
daily       1       1        1          1         1       1         1       20260301    20260331

shapes
shape_id  shape_pt_sequence  x     y
line      1                  0     0
line      2                  3000  0
"""


def tables(text: str) -> dict[str, list[list[str]]]:
    """Return the tables of a text, header first; a table whose name stands alone has no bytes at all."""
    found: dict[str, list[list[str]]] = {}
    for paragraph in text.strip().split("\n\n"):
        name, *rows = [line.split() for line in paragraph.splitlines() if line.strip()]
        found[name[0]] = [["" if cell == "-" else cell.replace("~", " ") for cell in row] for row in rows]
    return found


def files(text: str = "", *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the files of ``SMALL`` with the tables of ``text`` in place of its own, and not those ``without``."""
    chosen = {**tables(SMALL), **tables(text)} if text.strip() else tables(SMALL)
    return {f"{name}.txt": _csv(name, rows) for name, rows in chosen.items() if name not in without}


def write_zip(path: Path, contents: Mapping[str, str | bytes], *, folder: str = "") -> Path:
    """Write ``contents`` as a zip, within ``folder`` if one is named. The same contents give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in contents.items():
            info = zipfile.ZipInfo(f"{folder}{name}", date_time=(2026, 3, 1, 0, 0, 0))
            zipped.writestr(info, content.encode() if isinstance(content, str) else content)
    return path


def write_folder(path: Path, contents: Mapping[str, str | bytes]) -> Path:
    """Write ``contents`` as files of the folder ``path``."""
    path.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def compiled(folder: Path, text: str = "", *, without: tuple[str, ...] = ()) -> Compiled:
    """Return what becomes of ``SMALL`` with the tables of ``text``."""
    return compile_feed(write_zip(folder / "feed.zip", files(text, without=without)))


def network(folder: Path, text: str = "", *, without: tuple[str, ...] = ()) -> Network:
    """Return the network of ``SMALL`` with the tables of ``text``."""
    made = compiled(folder, text, without=without)
    assert made.network is not None, [str(notice) for notice in made.report.notices]
    return made.network


def said(notice: Notice) -> tuple[str, str, int | None, str, str]:
    """Return a notice's code, file, row, field and value."""
    return notice.code.value, notice.file, notice.row, notice.field, notice.value


def _csv(name: str, rows: list[list[str]]) -> str:
    if name in PLACES and rows and "x" in rows[0]:
        x, y = rows[0].index("x"), rows[0].index("y")
        head = [PLACES[name][1] if i == x else PLACES[name][0] if i == y else cell for i, cell in enumerate(rows[0])]
        rows = [head, *([*row] for row in rows[1:])]
        metres = np.array([[float(row[x]), float(row[y])] for row in rows[1:]]) + CENTRE
        lon, lat = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True).transform(metres[:, 0], metres[:, 1])
        for row, east, north in zip(rows[1:], lon, lat, strict=True):
            row[x], row[y] = f"{east:.8f}", f"{north:.8f}"
    text = io.StringIO()
    for row in rows:
        text.write(",".join(row) + "\n")
    return text.getvalue()
