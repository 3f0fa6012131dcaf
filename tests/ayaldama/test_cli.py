"""The command line: help that teaches, exit statuses that mean one thing, errors as one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ayaldama.cli import COMMANDS, cli, main
from ayaldama.commands._base import explained
from commons.migrate import MigrationError


class Called:
    """What a call printed and how it ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str], status: int) -> None:
        self.status = status
        self.out, self.err = capsys.readouterr()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "type[Called]":
    """Call ``ayaldama`` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Called:
        monkeypatch.setattr(sys, "argv", ["ayaldama", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        status = ended.value.code
        return Called(capsys, status if isinstance(status, int) else 0)

    return call


def every_command() -> list[tuple[str, ...]]:
    context = click.Context(cli)
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = cli.get_command(context, name)
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, inner) for inner in command.commands]
    return found


@pytest.mark.parametrize("words", [(), *every_command()], ids=" ".join)
def test_help_says_what_a_command_is_for_and_what_each_option_means(call, words: tuple[str, ...]) -> None:
    said = call(*words, "--help")
    assert said.status == 0
    assert said.out.startswith("Usage: ayaldama")
    assert len(said.out.split("\n\n")[1].split()) >= 4, "a sentence after the usage line"
    command = cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help, option.name


def test_help_tells_the_exit_statuses(call) -> None:
    said = call("--help").out
    for status in ("0 done", "1 not done", "2 wrong usage or settings", "69 a port", "130"):
        assert status in said


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("fly",), 2, "No such command 'fly'"),
        (("serve", "ticketing"), 2, "'ticketing' is not one of 'intake'"),
        (("serve", "tracking"), 2, "single roles need servers.*redis_url and postgres_url"),
        (("--settings", "nowhere.toml", "config"), 2, "no such settings file"),
        (("gtfs", "check", "nowhere.zip"), 1, "nowhere.zip: no such file or folder"),
        (("replay",), 2, "Missing option '--gtfs'"),
    ],
)
def test_each_kind_of_failure_has_its_status_and_a_sentence(
    call, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    said = call(*arguments)
    assert said.status == status
    assert pytest.approx(0) == len([line for line in said.err.splitlines() if "Traceback" in line])
    import re

    assert re.search(sentence, said.err)


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "100000"])
def test_a_replay_speed_is_a_number_or_max(call, tmp_path: Path, speed: str) -> None:
    (tmp_path / "a.csv").touch()
    said = call("replay", "--gtfs", "a.csv", "--avl", "a.csv", "--speed", speed)
    assert said.status == 2
    assert "must be" in said.err


def test_config_prints_what_is_in_force_and_from_where(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AYALDAMA_WEB__PORT", "9000")
    monkeypatch.setenv("AYALDAMA_POSTGRES_URL", "postgresql://city:s3cret@db/city")
    said = call("config", "--json")
    found = json.loads(said.out)
    assert found["web.port"] == {"value": 9000, "source": "environment: AYALDAMA_WEB__PORT"}
    assert found["intake.host"] == {"value": "127.0.0.1", "source": "default"}
    monkeypatch.setenv("COLUMNS", "200")
    table = call("config").out
    assert "environment: AYALDAMA_WEB__PORT" in table
    assert "s3cret" not in said.out + table


def test_an_unknown_setting_stops_every_command_that_reads_settings(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AYALDAMA_WEB__PROT", "9000")
    for arguments in (("config",), ("serve",), ("demo",), ("devices", "list")):
        said = call(*arguments)
        assert said.status == 2
        assert (
            said.err == "ayaldama: environment: AYALDAMA_WEB__PROT: no such setting; did you mean AYALDAMA_WEB__PORT?\n"
        )


def test_devices_are_kept_without_a_running_system(call, tmp_path: Path) -> None:
    where = ("--data-folder", str(tmp_path / "data"), "devices")
    key = call(*where, "add", "8612", "bus-7", "--note", "плака 001").out.strip()
    assert len(key) == 16
    assert call(*where, "add", "8612", "bus-8").status == 1
    (tmp_path / "more.csv").write_text("device_id,vehicle_id\n8612,bus-9\n8613,bus-10\n")
    made = call(*where, "import", "more.csv").out.splitlines()
    assert [line.split(",")[0] for line in made] == ["8613"]
    assert call(*where, "disable", "8613").status == 0
    assert call(*where, "disable", "9999").status == 1
    listed = call(*where, "list").out
    assert "bus-9" in listed
    assert "disabled" in listed
    assert key not in listed


def test_the_module_is_the_command() -> None:
    said = subprocess.run([sys.executable, "-m", "ayaldama", "version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("ayaldama ")


def test_a_database_of_a_newer_program_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, explained():
        raise MigrationError("fare.store: the database has migration 99, this program does not")
    assert ended.value.code == 69
    assert capsys.readouterr().err == "ayaldama: fare.store: the database has migration 99, this program does not\n"
