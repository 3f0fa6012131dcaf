"""Make a GTFS feed for a city that has none, from a folder that its operator can fill in (docs/city_without_gtfs.md).

``folder`` and ``archive`` touch files; all between is pure: ``city``, ``plan`` and ``fares`` read and judge,
``timetable`` places stops and counts times, ``tables`` writes GTFS, ``report`` counts what came out.
"""

import datetime as dt
from pathlib import Path

from gtfs_data.build.archive import write_archive
from gtfs_data.build.city import FILE, read_terms
from gtfs_data.build.fares import check_fares, read_fare_files
from gtfs_data.build.folder import FolderUnreadableError, read_files
from gtfs_data.build.plan import read_plan
from gtfs_data.build.problems import BuildError, Problems
from gtfs_data.build.report import BuildReport, DayReport, report_on
from gtfs_data.build.tables import feed_tables
from gtfs_data.build.timetable import place_lines, trips_of

__all__ = ["BuildError", "BuildReport", "DayReport", "FolderUnreadableError", "build_feed"]


def build_feed(folder: Path, output: Path, *, today: dt.date | None = None) -> BuildReport:
    """Write the feed of the city in ``folder`` to the zip ``output``; the same folder and day give the same bytes.

    ``today`` is needed only where the folder counts validity in days.

    Raises:
        FolderUnreadableError: if there is no such folder.
        BuildError: if anything in it must be mended; it holds all that was found, and ``output`` is left as it was.
        OSError: if a file cannot be read or written.
    """
    problems = Problems()
    files = read_files(folder, problems)
    basics, terms = read_terms(files.content[FILE], today, problems) if FILE in files.content else (None, None)
    if basics is not None:
        plan = read_plan(files, basics, problems)
        lines = place_lines(plan, problems)
    fares = read_fare_files(files, problems)
    problems.raise_errors(folder.resolve().name)
    if basics is None or terms is None:
        raise AssertionError("city.toml has no terms, and nobody said why")
    trips = trips_of(plan, terms, lines)
    version = f"{terms.first_day}-{files.content_hash()[:12]}"
    feed = feed_tables(plan, terms, lines, trips, version)
    check_fares(fares, feed, problems)
    problems.raise_errors(folder.resolve().name)
    write_archive(feed | {name: file.content for name, file in fares.items()}, output)
    return report_on(plan, terms, lines, trips, version, problems.report)
