"""docs/fare-attacks.md has a row for each case and names tests that exist."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = (HERE.parents[1] / "docs" / "fare-attacks.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
CASES = set(range(1, 56))


def names_in(file: Path) -> set[str]:
    return set(re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8")))


def test_every_test_of_the_table_exists() -> None:
    assert {name for file, name in NAMED.findall(TABLE) if name not in names_in(HERE / file)} == set()


def test_every_case_has_its_row() -> None:
    rows = {cells[1].strip() for cells in (line.split("|") for line in TABLE.splitlines()) if len(cells) > 4}
    assert {str(case) for case in CASES} | {f"I{number}" for number in range(1, 11)} <= rows
