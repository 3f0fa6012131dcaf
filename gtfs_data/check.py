"""Check a feed: everything that is wrong with it, found in one go."""

from pathlib import Path

from gtfs_data.compile import compile_feed
from gtfs_data.notices import CheckReport, Code, FeedError, Notice, Severity
from gtfs_data.read import FeedUnreadableError

__all__ = ["CheckReport", "Code", "FeedError", "FeedUnreadableError", "Notice", "Severity", "check_feed"]


def check_feed(path: Path) -> CheckReport:
    """Return all faults of the feed at ``path``, those that show only in its network (stops off their lines) included.

    Raises:
        FeedUnreadableError: if there is no feed at ``path`` at all.
    """
    return compile_feed(path).report
