"""What a person can set, count or call is in the documentation."""

import re
from pathlib import Path

import click

from ayaldama.cli import COMMANDS, cli
from ayaldama.settings_source import known_keys
from commons.metrics import METRICS
from transit.protocols import discover

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"


def all_docs() -> str:
    pages = [*sorted(DOCS.rglob("*.md")), PROJECT / "README.md"]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def commands() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": command.commands[inner] for inner in command.commands}
    return found


def test_every_setting_is_documented() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z0-9_.]+)` \|", page, flags=re.MULTILINE))
    assert documented == {key.name for key in known_keys()}
    for key in known_keys():
        assert key.variable in page, key.variable


def test_every_metric_is_documented() -> None:
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `ayaldama_([a-z0-9_]+)` \|", page, flags=re.MULTILINE))
    assert documented == set(METRICS)


def test_every_command_and_option_is_documented() -> None:
    text = all_docs()
    missing = [f"ayaldama {name}" for name in commands() if f"ayaldama {name}" not in text]
    missing += [
        f"ayaldama {name} {option.opts[-1]}"
        for name, command in commands().items()
        for option in command.params
        if isinstance(option, click.Option) and not any(opt in text for opt in option.opts if opt.startswith("--"))
    ]
    assert not missing


def test_every_protocol_has_its_page() -> None:
    pages = {page.stem for page in (DOCS / "protocols").glob("*.md")}
    assert set(discover()) <= pages


def test_every_page_that_a_page_points_to_exists() -> None:
    broken = [
        f"{page.relative_to(PROJECT)}: {target}"
        for page in [*DOCS.rglob("*.md"), PROJECT / "README.md"]
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken
