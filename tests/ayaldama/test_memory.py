"""What is there at the start costs no collection anything afterwards; what comes later is collected, but not often."""

import gc
import itertools
import weakref
from collections.abc import Iterator

import pytest

from ayaldama.memory import FULL_EVERY, keep_what_is_here


class Node:
    """An object that can be in a circle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def thawed() -> Iterator[None]:
    """Undo it afterwards: other tests make garbage of what is here now."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("thawed")
def test_later_collections_pass_over_what_is_here_and_find_what_comes_later() -> None:
    here = Node()
    keep_what_is_here()
    assert not any(one is here for one in gc.get_objects())
    later = weakref.ref(Node())
    gc.collect()
    assert later() is None


def objects_until_a_full_collection() -> int:
    """Keep making objects that live until Python looks through all of them; return how many."""
    collections = gc.get_stats()[2]["collections"]
    made: list[list[object]] = []
    for count in itertools.count():
        if gc.get_stats()[2]["collections"] > collections:
            return count * 100
        made.extend([made] for _ in range(100))
    raise AssertionError


@pytest.mark.usefixtures("thawed")
def test_full_collections_are_seldom_though_little_is_looked_through() -> None:
    young, older, _ = gc.get_threshold()
    gc.collect()
    gc.freeze()
    often = objects_until_a_full_collection()
    gc.collect()
    keep_what_is_here()
    seldom = objects_until_a_full_collection()
    assert often < 2 * 10 * young * older
    assert seldom > 0.9 * FULL_EVERY * young * older
