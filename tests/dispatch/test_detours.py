"""What the map is told of detours follows the change feed, and can be drawn."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.detours import Detours
from tests.dispatch.sightings import NOON_MS, detour
from tests.dispatch.small_city import ALAN, network_of
from transit.model import Detour


def detours_with(*known: Detour) -> Detours:
    detours = Detours(network_of())
    detours.replace(known)
    return detours


def test_a_detour_is_told_when_it_is_new_changed_or_over_and_only_then() -> None:
    detours = detours_with()
    assert detours.take_changes() is None
    for one, told in (
        (detour(), ["confirmed"]),
        (detour(), None),
        (detour(state="suspected"), ["suspected"]),
        (detour(state="over"), []),
        (detour(state="over"), None),
    ):
        detours.apply([one])
        changes = detours.take_changes()
        assert (changes if changes is None else [shown.state for shown in changes]) == told


def test_a_snapshot_ends_what_it_does_not_name() -> None:
    detours = detours_with(detour("a"), detour("b"))
    detours.take_changes()
    detours.replace([detour("b")])
    assert [shown.id for shown in detours.take_changes() or ()] == ["b"]
    detours.replace([detour("b")])
    assert detours.take_changes() is None


def test_the_latest_comes_first() -> None:
    detours = detours_with(detour("old", since_ms=NOON_MS - 90_000_000), detour("new", since_ms=NOON_MS))
    assert [shown.id for shown in detours.all()] == ["new", "old"]


def test_the_stretch_left_out_is_drawn_along_the_line_with_its_corners() -> None:
    (shown,) = detours_with(detour()).all()
    (drawn,) = shown.left_out
    assert len(drawn) > 2  # the line turns where its stops are
    assert min(abs(lon - ALAN.lon) + abs(lat - ALAN.lat) for lon, lat in drawn) < 1e-5
    assert shown.path[0] == (65.5040, 44.8560)


@pytest.mark.parametrize("change", [{"back_m": [-1.0]}, {"patterns": [99]}])
def test_what_is_not_known_or_of_another_feed_is_not_drawn(change: dict[str, object]) -> None:
    line = msgspec.structs.replace(detour().lines[0], **change)
    (shown,) = detours_with(detour(lines=[line])).all()
    assert shown.left_out == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["suspected", "confirmed", "over"])), max_size=12))
def test_a_map_that_heard_every_change_shows_what_a_snapshot_shows(history: list[tuple[str, str]]) -> None:
    detours = detours_with()
    heard = detours.all()
    for detour_id, state in history:
        detours.apply([detour(detour_id, state=state)])
        changes = detours.take_changes()
        heard = heard if changes is None else changes
    assert heard == detours.all()
