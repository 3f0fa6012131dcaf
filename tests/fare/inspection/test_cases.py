"""Warning, protocol, appeal: who may say what after what, and a chain that shows when it was touched."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare.inspection.cases import (
    DAY_MS,
    CaseId,
    CaseOutcome,
    Entry,
    EntryId,
    PersonId,
    Record,
    Role,
    Step,
    broken_at,
    decide,
    recorded,
)
from fare.inspection.values import InspectionRules, Standing, Verdict

RULES = InspectionRules()


def entry(
    step: str, who: str, day: float = 0, standing: Standing | None = Standing.NOT_PAID, fine: int | None = None
) -> Entry:
    role, _, number = who.partition(":")
    founded = step in {"warning", "protocol"} and standing is not None
    return Entry(
        entry_id=EntryId(f"{step}-{who}-{day}"),
        case_id=CaseId("case-1"),
        step=Step(step),
        at_ms=round(day * DAY_MS),
        person_id=PersonId(number or role),
        role=Role(role),
        verdict=Verdict(standing=standing, complete_until_ms=0) if founded and standing else None,
        fine_tiyn=fine if fine is not None else (RULES.fine_tiyn if step == "protocol" else 0),
    )


def check(text: str, rules: InspectionRules = RULES) -> None:
    """Each line: step, by whom, on which day, and what becomes of it; what is recorded is followed by the next line."""
    history: list[Entry] = []
    for line in text.strip().splitlines():
        step, who, day, outcome = line.split()
        one = entry(step, who, float(day))
        assert (line, decide(history, one, rules).value) == (line, outcome)
        if outcome == "recorded":
            history.append(one)


def test_a_warning_a_protocol_and_a_fine_that_is_paid() -> None:
    check("""
        warning   inspector:7  0    recorded
        protocol  inspector:7  0.1  recorded
        paid      officer:1    3    recorded
        appeal    rider        4    wrong_step
    """)


def test_an_appeal_is_decided_by_somebody_else_and_in_time() -> None:
    check("""
        warning    inspector:7  0      recorded
        protocol   inspector:7  0.1    recorded
        appeal     rider        10.11  too_late
        appeal     rider        10.09  recorded
        paid       officer:1    11     wrong_step
        cancelled  officer:7    12     same_person
        cancelled  inspector:8  12     wrong_role
        cancelled  officer:1    12     recorded
        paid       officer:1    13     wrong_step
    """)


def test_an_appeal_in_vain_leaves_the_fine_to_be_paid() -> None:
    check("""
        warning   inspector:7  0    recorded
        protocol  inspector:7  0.1  recorded
        appeal    officer:2    2    recorded
        upheld    officer:1    3    recorded
        appeal    rider        4    wrong_step
        paid      officer:1    5    recorded
    """)


def test_a_protocol_needs_a_warning_before_it_unless_the_operator_says_otherwise() -> None:
    check("protocol  inspector:7  0  wrong_step")
    check("protocol  inspector:7  0  recorded", InspectionRules(warning_first=False))


def test_a_warning_alone_can_only_be_withdrawn() -> None:
    check("""
        warning    inspector:7  0    recorded
        warning    inspector:7  0.1  wrong_step
        paid       officer:1    0.2  wrong_step
        withdrawn  inspector:7  0.3  wrong_role
        withdrawn  officer:1    0.3  recorded
        protocol   inspector:7  0.4  wrong_step
    """)


@pytest.mark.parametrize("standing", [*Standing, None])
def test_only_what_was_not_paid_founds_a_warning(standing: Standing | None) -> None:
    founded = standing is not None and standing.founds_warning
    outcome = decide([], entry("warning", "inspector:7", standing=standing), RULES)
    assert outcome is (CaseOutcome.RECORDED if founded else CaseOutcome.NOT_FOUNDED)


@pytest.mark.parametrize("fine", [0, RULES.fine_tiyn - 1, RULES.fine_tiyn * 2])
def test_the_fine_is_the_operators_and_not_the_inspectors(fine: int) -> None:
    history = [entry("warning", "inspector:7")]
    assert decide(history, entry("protocol", "inspector:7", fine=fine), RULES) is CaseOutcome.WRONG_FINE
    assert decide([], entry("warning", "inspector:7", fine=fine or 1), RULES) is CaseOutcome.WRONG_FINE


def test_an_entry_sent_again_is_recorded_once() -> None:
    history = [entry("warning", "inspector:7")]
    assert decide(history, history[0], RULES) is CaseOutcome.ALREADY_RECORDED


def test_the_history_of_another_case_is_the_callers_error() -> None:
    other = msgspec.structs.replace(entry("warning", "inspector:7"), case_id=CaseId("case-2"))
    with pytest.raises(ValueError, match="another case"):
        decide([other], entry("protocol", "inspector:7"), RULES)


def chain(length: int) -> list[Record]:
    records: list[Record] = []
    for day in range(length):
        records.append(recorded(entry("warning", "inspector:7", day), records[-1] if records else None))
    return records


@given(st.integers(0, 12))
def test_a_chain_that_nobody_touched_is_whole(length: int) -> None:
    records = chain(length)
    assert broken_at(records, records[-1].digest if records else "") is None


@given(st.integers(2, 10), st.data())
def test_attack_55_an_entry_changed_left_out_or_moved_breaks_the_chain(length: int, data: st.DataObject) -> None:
    records = chain(length)
    place = data.draw(st.integers(0, length - 2))
    forged_entry = msgspec.structs.replace(records[place].entry, person_id=PersonId("8"))
    changed = [*records[:place], msgspec.structs.replace(records[place], entry=forged_entry), *records[place + 1 :]]
    left_out = [*records[:place], *records[place + 1 :]]
    moved = [*records[:place], records[place + 1], records[place], *records[place + 2 :]]
    assert [broken_at(forged) for forged in (changed, left_out, moved)] == [place + 1] * 3


@given(st.integers(1, 10))
def test_attack_55_a_chain_made_anew_after_a_forgery_does_not_end_in_the_head_kept_elsewhere(length: int) -> None:
    records = chain(length)
    head = records[-1].digest
    forged: list[Record] = []
    for record in records:
        one = msgspec.structs.replace(record.entry, reason="forged")
        forged.append(recorded(one, forged[-1] if forged else None))
    assert broken_at(forged) is None
    assert broken_at(forged, head) == length + 1


@given(st.integers(1, 10))
def test_attack_55_a_tail_cut_off_is_missed_by_who_kept_the_head(length: int) -> None:
    records = chain(length)
    assert broken_at(records[:-1], records[-1].digest) == length
