"""Rooms import downwards only and the core is pure: the contracts of pyproject.toml, as a test."""

from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

PROJECT = Path(__file__).parents[2]


def test_the_contracts_hold() -> None:
    assert lint_imports(config_filename=str(PROJECT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS


def test_nothing_imports_the_top_room() -> None:
    rooms = [path for path in PROJECT.iterdir() if (path / "__init__.py").is_file() and path.name != "ayaldama"]
    assert len(rooms) >= 6
    found = [
        f"{file.relative_to(PROJECT)}:{number}"
        for room in rooms
        for file in room.rglob("*.py")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if line.strip().startswith(("import ayaldama", "from ayaldama"))
    ]
    assert not found
