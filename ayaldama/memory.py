"""How Python's collector goes about its work in a process that answers others all the time.

Each full collection walks over all objects there are, tens of milliseconds in which a process does nothing else. What
is there at the start, modules, timetable, caches, never becomes garbage, so nothing is to be found among it. And Python
counts only what came since: with little of that, as here, it would look through everything again and again, each second
while a city's validators send. Cycles that live for long are rare; those that do not are found among the young.
"""

import gc
from typing import Final

FULL_EVERY: Final = 200  # collections of what is not quite young, each after some 7,000 new objects; Python's is 10


def keep_what_is_here() -> None:
    """Let later collections pass over every object of this moment, and be seldom; call it once all is set up."""
    gc.collect()
    gc.freeze()
    young, older, _ = gc.get_threshold()
    gc.set_threshold(young, older, FULL_EVERY)
