"""Check a feed: everything that is wrong with it, found in one go."""

from pathlib import Path

from gtfs_data.compile import compile_feed
from gtfs_data.fares import check_fares
from gtfs_data.notices import CheckReport, Code, FeedError, Notice, Notices, Severity
from gtfs_data.read import FeedUnreadableError

__all__ = ["CheckReport", "Code", "FeedError", "FeedUnreadableError", "Notice", "Severity", "check_feed", "with_fares"]


def check_feed(path: Path) -> CheckReport:
    """Return all faults of the feed at ``path``, those in its fares and in its network (stops off their lines) too.

    Raises:
        FeedUnreadableError: if there is no feed at ``path`` at all.
    """
    return with_fares(compile_feed(path).report, path)


def with_fares(report: CheckReport, path: Path) -> CheckReport:
    """Return the report of a network and beside it the faults of the fares in the same feed.

    Raises:
        FeedUnreadableError: if there is no feed at ``path`` at all.
    """
    notices = Notices()
    notices.add_report(report)
    notices.add_report(check_fares(path))
    return notices.report()
