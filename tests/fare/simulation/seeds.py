"""Many seeds on all cores; a seed that breaks a promise is told with the faults that it needs."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from tests.fare.simulation.faults import ALL, CrashedError, Faults
from tests.fare.simulation.world import play


class Failed(NamedTuple):
    seed: int
    error: str
    needs: tuple[str, ...]  # without any of these faults the seed passes

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.error}\n"
            f"  again: AYALDAMA_FIRST_SEED={self.seed} AYALDAMA_SEEDS=1 pytest tests/fare/simulation -k promise\n"
            f"  it takes no more than: {', '.join(self.needs) or 'no fault at all'}"
        )


def broken_by(seed: int, faults: Faults = ALL) -> str | None:
    """Return which promise a seed breaks, None if it keeps all. Whatever it raises is a finding.

    Raises:
        CrashedError: if the server does not work at all: that is no finding, and one seed is enough to say so.
    """
    try:
        play(seed, faults)
    except CrashedError:
        raise
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    return None


def try_seed(seed: int) -> Failed | None:
    """Play a seed; where it fails, leave out faults one by one as long as it still does."""
    error = broken_by(seed)
    if error is None:
        return None
    faults = ALL
    for name in faults.names():
        fewer = faults.without(name)
        found = broken_by(seed, fewer)
        if found is not None:
            faults, error = fewer, found
    return Failed(seed, error, tuple(faults.names()))


def try_seeds(seeds: Iterable[int]) -> Iterator[Failed]:
    """Play seeds on all cores; give those that fail."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
        for failed in processes.map(try_seed, seeds, chunksize=5):
            if failed is not None:
                yield failed
