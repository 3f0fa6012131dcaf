"""The fare tables of a city's folder: ``fares/NAME.csv`` becomes ``NAME.txt``, spreadsheets' commas and blanks mended.

The tables are those of GTFS Fares v2 and our own ones (docs/tariff.md). They are judged as part of the feed, by the
reader that prices rides, and each fault is told of the file and line that the operator has.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

from gtfs_data.build.folder import FARES, Files
from gtfs_data.build.problems import Problems
from gtfs_data.build.sheet import Columns, rows_of
from gtfs_data.fares import check_fare_files
from gtfs_data.notices import Code, Severity

WHO: Final = ("rider_category_id", "fare_media_id")
FRAMES: Final = ("from_timeframe_group_id", "to_timeframe_group_id")
DURATION: Final = ("transfer_count", "duration_limit", "duration_limit_type", "fare_product_id")
AMOUNTS: Final = frozenset({"amount", "fixed_amount"})
COLUMNS: Final[Mapping[str, Columns]] = MappingProxyType(
    {
        "areas": Columns(("area_id",), ("area_name",)),
        "stop_areas": Columns(("area_id", "stop_id")),
        "networks": Columns(("network_id",), ("network_name",)),
        "route_networks": Columns(("network_id", "route_id")),
        "timeframes": Columns(("timeframe_group_id", "service_id"), ("start_time", "end_time")),
        "rider_categories": Columns(
            ("rider_category_id", "rider_category_name"), ("is_default_fare_category", "eligibility_url")
        ),
        "fare_media": Columns(("fare_media_id", "fare_media_type"), ("fare_media_name",)),
        "fare_products": Columns(("fare_product_id", "amount", "currency"), ("fare_product_name", *WHO)),
        "fare_leg_rules": Columns(
            ("fare_product_id",),
            ("leg_group_id", "network_id", "from_area_id", "to_area_id", *FRAMES, "rule_priority"),
        ),
        "fare_leg_join_rules": Columns(("from_network_id", "to_network_id"), ("from_stop_id", "to_stop_id")),
        "fare_transfer_rules": Columns(("fare_transfer_type",), ("from_leg_group_id", "to_leg_group_id", *DURATION)),
        "fare_versions": Columns(("fare_version_id",), ("start_date", "end_date", "day_start_time")),
        "fare_version_amounts": Columns(("fare_version_id", "fare_product_id", "amount"), WHO),
        "fare_caps": Columns(("fare_cap_id", "cap_period", "amount"), (*WHO, "network_id", "fare_version_id")),
        "fare_passes": Columns(("fare_product_id", "duration_unit", "duration"), ("network_id",)),
        "fare_concessions": Columns(
            ("rider_category_id",),
            (
                *("share_percent", "fixed_amount", "free_rides_per_day", "paid_by", "proof_required", "ends_at_age"),
                "fare_version_id",
            ),
        ),
        "fare_multipliers": Columns(("network_id", "percent"), ("fare_version_id",)),
    }
)


@dataclass(frozen=True, slots=True)
class FareFile:
    """A table as it goes into the feed, and from which line of the folder's file each of its rows came."""

    source: str
    content: bytes
    lines: tuple[int, ...]


def read_fare_files(files: Files, problems: Problems) -> dict[str, FareFile]:
    """Return the fare tables of a folder by their name in the feed; tables without rows are left out."""
    found: dict[str, FareFile] = {}
    for source in files.fares:
        name = PurePosixPath(source).stem
        if name not in COLUMNS:
            problems.error(Code.INVALID_VALUE, source, f"no such table; there may be {', '.join(COLUMNS)}")
            continue
        rows = list(rows_of(source, files.content[source], COLUMNS[name], problems))
        known = (*COLUMNS[name].required, *COLUMNS[name].optional)
        used = [column for column in known if rows and column in rows[0].cells]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(used)
        for row in rows:
            writer.writerow(
                row.text(column).replace(",", ".") if column in AMOUNTS else row.text(column) for column in used
            )
        if rows:
            found[f"{name}.txt"] = FareFile(source, text.getvalue().encode(), tuple(row.line for row in rows))
    return found


def check_fares(fares: Mapping[str, FareFile], feed: Mapping[str, bytes], problems: Problems) -> None:
    """Say what is wrong with the fares in the feed that they are to be part of."""
    if not fares:
        return
    for notice in check_fare_files({**feed, **{name: file.content for name, file in fares.items()}}).notices:
        file = fares.get(notice.file)
        source = file.source if file else f"{FARES}/{PurePosixPath(notice.file).stem}.csv"
        row = file.lines[notice.row - 2] if file and notice.row else notice.row
        say = problems.error if notice.severity is Severity.ERROR else problems.warning
        say(notice.code, source, notice.rule, row=row, field=notice.field, value=notice.value)
