"""Scripts and styles as they are sent: without what only people read, for slow links and old browsers.

Pure, and simple enough to be sure of: comments, indentation, line ends and spaces beside punctuation go, nothing is
renamed. It is for scripts written as ours are, without texts over several lines, templates within templates, quotes in
regular expressions and block comments beside code; ``tests/stop_display/pages`` runs every page squeezed.
"""

import re
from collections.abc import Callable
from typing import Final

BLOCK_COMMENT: Final = re.compile(r"^\s*/\*.*?\*/[ \t]*$", re.DOTALL | re.MULTILINE)
# What stands in quotes would be followed by the closing one, so a comment that has none is a comment.
LINE_COMMENT: Final = re.compile(r"(^|\s+)//(\s[^\"'`\n]*)?$|^\s*//.*$", re.MULTILINE)
QUOTED: Final = re.compile(r"(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)")
# Signs between two operands only: "a - -b" stays, and a regular expression has no space behind its first slash.
PUNCTUATION: Final = re.compile(r" ?([=?:,;{}()\[\]<>&|]+) ?|(?<=[\w)\]]) ([-+*/]) (?=[\w(\[])")
JOINED: Final = re.compile(r"^((?:(?!//)[^\n])*[{;,(])\n", re.MULTILINE)  # behind a comment nothing may come
STYLE_SPACE: Final = re.compile(r";\n(?=\})|(?<=[{};,])\n|\s+(?=\{)|(?<= \*) |(?<=\d) (?=\*)")
ATTRIBUTE: Final = re.compile(r"=\"([a-z]\w*)\"\]")
DECLARATION: Final = re.compile(r"^([-\w]+): +(?=.*;$)", re.MULTILINE)


def squeezed(name: str) -> Callable[[bytes], bytes]:
    """Return what squeezes the file ``name``: a style if it ends in ``.css``, else a script."""
    return _squeezed_style if name.endswith(".css") else _squeezed_script


def _squeezed_script(body: bytes) -> bytes:
    lines = _lines(LINE_COMMENT.sub("", _without_blocks(body)))
    parts = QUOTED.split(lines)
    parts[::2] = [PUNCTUATION.sub(r"\1\2", part) for part in parts[::2]]
    return JOINED.sub(r"\1", "".join(parts)).encode("utf-8")


def _squeezed_style(body: bytes) -> bytes:
    lines = ATTRIBUTE.sub(r"=\1]", DECLARATION.sub(r"\1:", _lines(_without_blocks(body))))
    return STYLE_SPACE.sub("", lines).encode("utf-8")


def _without_blocks(body: bytes) -> str:
    return BLOCK_COMMENT.sub("", body.decode("utf-8"))


def _lines(text: str) -> str:
    return "\n".join(stripped for line in text.splitlines() if (stripped := line.strip()))
