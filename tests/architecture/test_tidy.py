"""Files and functions that fit in a head, no hidden state, names that say what is inside.

``LONGER`` lists what is over the limits already: the list may only shrink.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ROOMS = ("commons", "gtfs_data", "transit", "fare", "stop_display", "dispatch", "ayaldama")
MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
COMMONS_FILES_MAX = 8
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "tools", "stuff"}
LONGER: frozenset[str] = frozenset()  # "room/module.py" or "room/module.py:function"
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MUTABLE_CALLS = {"list", "dict", "set", "defaultdict", "deque", "bytearray", "OrderedDict", "Counter"}


def modules(*folders: str) -> Iterator[tuple[str, str, ast.Module]]:
    for folder in folders:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            if "node_modules" not in path.parts:
                text = path.read_text(encoding="utf-8")
                yield path.relative_to(PROJECT).as_posix(), text, ast.parse(text)


def too_long(name: str, text: str, tree: ast.Module) -> Iterator[str]:
    if len(text.splitlines()) > MODULE_LINES_MAX:
        yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{name}:{node.name}"


def hidden_state(name: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"{name}:{node.lineno}: global"
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value is None or "__all__" in ast.unparse(node):
            continue
        called = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
        if (isinstance(value, MUTABLE) or called in MUTABLE_CALLS) and not _is_mapping_typed(node):
            yield f"{name}:{node.lineno}: mutable value at module level"


def _is_mapping_typed(node: ast.stmt) -> bool:
    """A dict or list whose type says ``Mapping`` or ``Sequence`` cannot be changed as far as mypy lets code pass."""
    kind = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
    return "Mapping" in kind or "Sequence" in kind


def test_modules_and_functions_fit_in_a_head() -> None:
    found = {one for module in modules(*ROOMS, "bench") for one in too_long(*module)}
    assert found == set(LONGER)


def test_test_modules_fit_in_a_head() -> None:
    assert [name for name, text, _ in modules("tests") if len(text.splitlines()) > MODULE_LINES_MAX] == []


def test_there_is_no_hidden_state() -> None:
    assert [one for name, _, tree in modules(*ROOMS) for one in hidden_state(name, tree)] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [name for name, _, _ in modules(*ROOMS, "tests", "bench") if VAGUE_NAMES & {*name[:-3].split("/")}] == []


def test_the_bottom_drawer_stays_small() -> None:
    files = [name for name, _, _ in modules("commons") if not name.endswith("__init__.py")]
    assert len(files) <= COMMONS_FILES_MAX


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CACHE = {}", 1),
        ("from typing import Final\nNAMES: Final = ['a']", 1),
        ("def f() -> None:\n    global x\n    x = 1", 1),
        ("from collections import deque\nWAITING = deque()", 1),
        ("from collections.abc import Mapping\nTYPES: Mapping[str, str] = {'a': 'b'}", 0),
        ("NAMES = ('a', 'b')", 0),
    ],
)
def test_the_rule_against_hidden_state_catches_what_it_should(text: str, found: int) -> None:
    assert len(list(hidden_state("planted", ast.parse(text)))) == found


def test_the_rule_of_length_catches_what_it_should() -> None:
    text = "def f():\n" + "    x = 1\n" * 70
    assert list(too_long("planted", text, ast.parse(text))) == ["planted:f"]
