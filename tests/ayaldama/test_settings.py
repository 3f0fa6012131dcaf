"""Settings: the environment wins over the file, every mistake names its key."""

from pathlib import Path

import pytest

from ayaldama.settings import Settings, from_json, to_json
from ayaldama.settings_source import PREFIX, Reading, SettingsError, known_keys, masked, read_settings, rule_of


def read(tmp_path: Path, toml: str = "", **environment: str) -> Reading:
    file = tmp_path / "city.toml"
    file.write_text(toml)
    return read_settings(file, environment={PREFIX + name: value for name, value in environment.items()})


def source_of(reading: Reading, name: str) -> str:
    return next(one.source for one in reading.in_force if one.key.name == name)


def test_without_anything_everything_has_its_default() -> None:
    reading = read_settings(environment={})
    assert reading.settings == Settings()
    assert {one.source for one in reading.in_force} == {"default"}


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    toml = "[web]\nport = 1000\nhost = '0.0.0.0'"
    reading = read(tmp_path, toml, WEB__PORT="2000")
    assert (reading.settings.web.port, reading.settings.web.host) == (2000, "0.0.0.0")
    assert source_of(reading, "web.port") == "environment: AYALDAMA_WEB__PORT"
    assert source_of(reading, "web.host") == str(tmp_path / "city.toml")
    (tmp_path / "other.toml").write_text(toml)
    reading = read_settings(
        tmp_path / "other.toml", environment={"AYALDAMA_WEB__PORT": "2000"}, command_line={"web.port": 3000}
    )
    assert reading.settings.web.port == 3000
    assert source_of(reading, "web.port") == "command line"


def test_an_option_that_was_not_given_leaves_the_setting_alone() -> None:
    reading = read_settings(environment={"AYALDAMA_WEB__PORT": "2000"}, command_line={"web.port": None})
    assert reading.settings.web.port == 2000


def test_the_file_is_named_by_the_environment_too(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("city = 'shymkent'")
    assert read_settings(environment={"AYALDAMA_SETTINGS": str(tmp_path / "a.toml")}).settings.city == "shymkent"


def test_ayaldama_toml_of_the_working_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ayaldama.toml").write_text("city = 'aral'")
    monkeypatch.chdir(tmp_path)
    assert read_settings(environment={}).settings.city == "aral"


def test_a_path_in_the_file_is_seen_from_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, "[gtfs]\nfeed = 'feeds/city.zip'").settings.gtfs.feed == tmp_path / "feeds" / "city.zip"


def test_one_protocol_can_be_switched_off_and_the_others_stay(tmp_path: Path) -> None:
    ports = read(tmp_path, "[intake.ports]\nosmand = 'off'").settings.for_intake.ports
    assert ports == {"wialon_ips": 20332}


@pytest.mark.parametrize(
    ("toml", "environment", "sentence"),
    [
        ("[web]\nprot = 1", {}, r"city\.toml: web\.prot: no such setting; did you mean web\.port\?"),
        ("[wbe]\nport = 1", {}, r"city\.toml: wbe: no such setting; did you mean web\?"),
        ("zzz = 1", {}, r"zzz: no such setting; see docs/settings\.md"),
        ("web = 1", {}, r"web: 1 must be a table of keys: \[web\]"),
        ("[web]\nport = '1'", {}, r"web\.port: '1' must be a whole number from 0 to 65535"),
        ("[web]\nport = 65536", {}, r"web\.port: 65536 must be a whole number from 0 to 65535"),
        ("[web]\nport =", {}, r"city\.toml: not valid TOML"),
        ("[clock]\nrate = 0", {}, r"clock\.rate: 0 must be a number above 0"),
        ("log_level = 'loud'", {}, r"log_level: 'loud' must be one of DEBUG, INFO, WARNING, ERROR"),
        ("data_folder = 3", {}, r"city\.toml: data_folder: 3 must be a path"),
        ("[gtfs]\nfeed = ['a.zip']", {}, r"gtfs\.feed: \['a\.zip'\] must be a path or empty"),
        ("[sms]\ngateways = true", {}, r"sms\.gateways: True must be a path or empty"),
        ("city = 'Қызылорда'", {}, r"city: 'Қызылорда' must be text of the form"),
        ("[intake.ports]\negts = 1", {}, r"intake\.ports\.egts: no such setting"),
        ("", {"REDIS_URI": "redis://x"}, r"environment: AYALDAMA_REDIS_URI: no such.*AYALDAMA_REDIS_URL\?"),
        ("", {"WEB__PORT": "many"}, r"environment: AYALDAMA_WEB__PORT: web\.port: 'many' must be a whole number"),
        ("", {"INTAKE__PORTS__OSMAND": "no"}, r"intake\.ports\.osmand: 'no' must be a whole number.* or `off`"),
        ("", {"WEB__BEHIND_PROXY": "maybe"}, r"web\.behind_proxy: 'maybe' must be true or false"),
    ],
)
def test_a_mistake_names_where_what_and_the_rule(
    tmp_path: Path, toml: str, environment: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read(tmp_path, toml, **environment)


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SettingsError, match="no such settings file"):
        read_settings(Path("/nowhere/city.toml"), environment={})


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    url = "postgresql://city:s3cret@db.example/city"
    assert masked(url) == "postgresql://city:***@db.example/city"
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, f"redis_url = '{url}'")
    assert "s3cret" not in str(caught.value)


def test_secrets_are_not_shown_where_they_are_right_nor_where_they_are_wrong(tmp_path: Path) -> None:
    reading = read(tmp_path, "[banks]\nkaspi_secret = 'Qwerty123'", BANKS__REDIRECT_KEY="open sesame")
    shown = {one.key.name: one.shown for one in reading.in_force}
    assert (shown["banks.kaspi_secret"], shown["banks.redirect_key"], shown["banks.epay_secret"]) == ("***", "***", "")
    with pytest.raises(SettingsError) as wrong:
        read(tmp_path, "[banks]\nkaspi_secret = 12345678")
    assert "12345678" not in str(wrong.value)


def test_settings_travel_to_another_process_unchanged(tmp_path: Path) -> None:
    settings = read(tmp_path, "[gtfs]\nfeed = 'a.zip'\n[intake.ports]\nosmand = 'off'\nwialon_ips = 0").settings
    assert from_json(to_json(settings)) == settings


def test_every_key_says_what_it_is_and_what_it_takes() -> None:
    for key in known_keys():
        assert key.description, key.name
        assert "empty" not in rule_of(key.kind) or key.default is None, key.name
