"""Who joins is visited once in a round, and no turn has all of them."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stop_display.turns import Turns


def test_turns_are_alike_in_number_and_visit_all() -> None:
    turns: Turns[int] = Turns(4)
    for who in range(10):
        turns.join(who)
    visited = list(turns.round())
    assert sorted(map(len, visited)) == [2, 2, 3, 3]
    assert sorted(who for turn in visited for who in turn) == list(range(10))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=80))
def test_who_stays_is_visited_as_often_as_turns_pass_whoever_comes_and_goes(changes: list[tuple[bool, int]]) -> None:
    turns: Turns[int] = Turns(5)
    turns.join(-1)
    visits: Counter[int] = Counter()
    inside, left = {-1}, list(changes)
    for _ in range(3):
        for visited in turns.round():
            assert set(visited) <= inside
            visits.update(visited)
            if left:
                comes, who = left.pop()
                if comes and who not in inside:
                    turns.join(who)
                    inside.add(who)
                elif not comes:
                    turns.leave(who)
                    inside.discard(who)
    assert visits[-1] == 3
    assert sorted(who for visited in turns.round() for who in visited) == sorted(inside)
