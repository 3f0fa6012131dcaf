"""The demo leaves settings with which other commands find its folder, its feed and its clock."""

from pathlib import Path

import msgspec
import pytest

from ayaldama.demo import write_settings
from ayaldama.settings import ClockSection, Settings
from ayaldama.settings_source import read_settings


@pytest.mark.parametrize("name", ["demo", 'қала \\ "бір"\n', "🚌"])
def test_what_the_demo_runs_by_is_read_back(tmp_path: Path, name: str) -> None:
    replace, default = msgspec.structs.replace, Settings()
    settings = replace(
        default,
        data_folder=tmp_path / name,
        gtfs=replace(default.gtfs, feed=tmp_path / name / "feed.zip"),
        clock=ClockSection(wall_ms=1, city_ms=1_795_834_892_355, rate=2.5),
    )
    write_settings(tmp_path / "settings.toml", settings)
    assert read_settings(tmp_path / "settings.toml", environment={}).settings == settings


def test_paths_are_good_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = msgspec.structs.replace(Settings(), data_folder=Path(".data/demo"))
    write_settings(tmp_path / "settings.toml", settings)
    read = read_settings(tmp_path / "settings.toml", environment={}).settings
    assert (read.data_folder, read.gtfs.feed) == (tmp_path / ".data/demo", None)
