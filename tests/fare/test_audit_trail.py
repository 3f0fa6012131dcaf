"""Attack 55: what was changed, left out or cut off in the log of acts shows."""

from collections.abc import Callable

import msgspec
import pytest

from fare.audit_trail import Act, AuditHead, AuditLine, broken_at, following


def log(count: int = 4) -> tuple[list[AuditLine], AuditHead]:
    lines: list[AuditLine] = []
    head = AuditHead()
    for at_ms in range(count):
        lines.append(following(head, at_ms, "aigul", Act.REFUND_ASKED, f"ride-{at_ms}"))
        head = AuditHead(number=lines[-1].number, hash=lines[-1].hash)
    return lines, head


def test_a_log_that_nobody_touched_is_whole() -> None:
    assert broken_at(*log()) is None
    assert broken_at([], AuditHead()) is None


@pytest.mark.parametrize(
    ("spoil", "at"),
    [
        (lambda lines: lines[:-1], 4),
        (lambda lines: lines[1:], 1),
        (lambda lines: [*lines[:1], *lines[2:]], 2),
        (lambda lines: [*lines, following(AuditHead(number=4, hash=bytes(32)), 9, "x", Act.EXPORTED)], 5),
        (lambda lines: [lines[0], msgspec.structs.replace(lines[1], who="x"), *lines[2:]], 2),
        (lambda lines: [], 1),
    ],
    ids=["cut off", "first missing", "one missing", "one added", "one changed", "all gone"],
)
def test_attack_55_a_spoilt_log_shows_where(spoil: Callable[[list[AuditLine]], list[AuditLine]], at: int) -> None:
    lines, head = log()
    assert broken_at(spoil(lines), head) == at
