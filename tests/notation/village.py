"""The village of docs/city_without_gtfs.md as a folder, and the same with something changed in it."""

import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "city_without_gtfs.md"
FILE = re.compile(r"^\*\*`([\w./-]+)`\*\*\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


def village_files() -> dict[str, str]:
    """Return the files that the page shows, by name."""
    return dict(FILE.findall(PAGE.read_text(encoding="utf-8")))


def write_village(
    folder: Path,
    *,
    change: Mapping[str, tuple[str, str]] | None = None,
    files: Mapping[str, str | bytes | None] | None = None,
) -> Path:
    """Write the village to ``folder``.

    ``change`` replaces a text in a file by another (it must be there, once); ``files`` replaces whole files, None
    leaves them out.
    """
    contents: dict[str, str | bytes | None] = {**village_files()}
    for name, (old, new) in (change or {}).items():
        text = contents[name]
        assert isinstance(text, str)
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        contents[name] = text.replace(old, new)
    contents |= files or {}
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder
