"""What a process keeps for as long as it lives, kept out of the way of Python's collector.

Each full collection walks over all objects there are: tens of milliseconds for modules, timetable and caches alone, in
which a process does nothing else. They never become garbage, so there is nothing to be found among them.
"""

import gc


def keep_what_is_here() -> None:
    """Let later collections pass over every object of this moment; call it once everything is set up."""
    gc.collect()
    gc.freeze()
