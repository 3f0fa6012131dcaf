"""What is there at the start costs no collection anything afterwards; what comes later is still collected."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from ayaldama.memory import keep_what_is_here


class Node:
    """An object that can be in a circle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def thawed() -> Iterator[None]:
    """Undo it afterwards: other tests make garbage of what is here now."""
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_later_collections_pass_over_what_is_here_and_find_what_comes_later() -> None:
    here = Node()
    keep_what_is_here()
    assert not any(one is here for one in gc.get_objects())
    later = weakref.ref(Node())
    gc.collect()
    assert later() is None
