"""Names as short as a panel needs: by the operator's table, by ours, by rule."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons.texts import LANGUAGES
from stop_display import abbreviations as module
from stop_display.abbreviations import OWN_TABLE, Abbreviations, TableError, load_abbreviations

OURS = load_abbreviations()


@pytest.mark.parametrize(
    ("language", "name", "width", "short"),
    [
        ("kk", "Шұғыла мөлтек ауданы", 20, "Шұғыла мөлтек ауданы"),
        ("kk", "Шұғыла мөлтек ауданы", 19, "Шұғыла м/а"),
        ("kk", "Шұғыла мөлтек ауданы", 9, "Шұғыла"),
        ("kk", "Шұғыла мөлтек ауданы", 5, "Шұғ."),
        ("kk", "Теміржол вокзалы", 12, "Т/ж вокзалы"),
        ("ru", "Железнодорожный вокзал", 10, "Ж/д вокзал"),
        ("ru", "мкр Шугыла", 8, "Шугыла"),  # "мкр" alone says nothing
        ("ru", "Поликлиника на ул. Байтурсынова", 20, "П-ка на ул. Байтурс."),
        ("ru", "Поликлиника на ул. Байтурсынова", 12, "Поликлиника"),  # not "Поликлиника на"
        ("ru", "Больница (новый корпус)", 10, "Больница"),
        ("en", "Railway Station", 11, "Rly Station"),
        ("en", "Airport", 4, "Air."),
        ("kk", "", 10, ""),
        ("kk", "ЫЫЫЫЫЫЫЫЫЫЫЫ", 5, "ЫЫЫЫ."),
    ],
)
def test_a_name_is_shortened_as_people_do(language: str, name: str, width: int, short: str) -> None:
    assert OURS.fit(name, language, width) == short  # type: ignore[arg-type]


@given(
    st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=60),
    st.integers(1, 40),
    st.sampled_from(LANGUAGES),
)
def test_what_is_asked_for_always_fits_and_no_word_is_cut_without_a_sign(name: str, width: int, language: str) -> None:
    short = OURS.fit(name, language, width)  # type: ignore[arg-type]
    assert len(short) <= width
    assert bool(short) == bool(name.strip()) or not name.split()


def test_a_name_of_a_hundred_words_is_shortened_without_trying_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    stem = module._stem
    monkeypatch.setattr(module, "_stem", lambda word: (tried.append(word), stem(word))[1])
    name = "Улица Великой Октябрьской революции " * 25
    assert load_abbreviations().fit(name, "ru", 40) == "Улица Великой Октябрьской революции"
    assert len(tried) < 500


def test_an_operators_table_stands_before_ours(tmp_path: Path) -> None:
    table = tmp_path / "short.toml"
    table.write_text('[ru.names]\n"Железнодорожный вокзал" = ["Жел. вокзал", "Вокзал"]\n[ru.words]\n"улица" = "у."\n')
    found = load_abbreviations(table)
    assert found.fit("Железнодорожный вокзал", "ru", 11) == "Жел. вокзал"
    assert found.fit("Железнодорожный вокзал", "ru", 7) == "Вокзал"
    assert found.fit("улица Абая", "ru", 7) == "у. Абая"
    assert found.fit("Микрорайон Арай", "ru", 8) == "Мкр Арай"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[ru.words", "end of document"),
        ("[ru]\nwrong = 1", "wrong"),
        ("[de.words]\nx = 'y'", "de"),
        ("[ru.names]\nx = 'y'", "Expected `array`"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(tmp_path: Path, text: str, reason: str) -> None:
    table = tmp_path / "short.toml"
    table.write_text(text)
    with pytest.raises(TableError, match=reason):
        load_abbreviations(table)
    with pytest.raises(TableError, match="cannot be read"):
        load_abbreviations(tmp_path / "missing.toml")


def test_every_short_form_of_our_table_is_shorter() -> None:
    table = tomllib.loads(OWN_TABLE.read_text(encoding="utf-8"))
    pairs = [pair for part in table.values() for pair in part["words"].items()]
    assert pairs
    assert [pair for pair in pairs if len(pair[1]) >= len(pair[0])] == []


def test_a_voice_reads_abbreviations_out() -> None:
    assert OURS.spoken("мкр Шугыла, ул. Абая", "ru") == "микрорайон Шугыла, улица Абая"
    assert OURS.spoken("Шұғыла м/а", "kk") == "Шұғыла мөлтек ауданы"
    assert OURS.spoken("School No. 5", "en") == "School number 5"
    assert OURS.spoken("СПМК-70", "ru") == "СПМК-70"


def test_without_tables_words_are_still_shortened() -> None:
    assert Abbreviations([]).fit("Центральная площадь", "ru", 12) == "Центральная"
    assert Abbreviations([]).fit("Центральная площадь", "ru", 16) == "Централ. площадь"


@given(st.sampled_from(["Шұғыла мөлтек ауданы", "Поликлиника на ул. Байтурсынова"]), st.integers(40, 400))
def test_a_width_in_pixels_is_kept_as_one_in_letters_is(name: str, pixels: int) -> None:
    def measure(text: str) -> float:
        return sum(4 if letter in "іл./ " else 9 for letter in text)

    assert measure(OURS.fit(name, "ru", pixels, measure)) <= pixels
    assert OURS.fit(name, "ru", pixels / 9, lambda text: float(len(text))) == OURS.fit(name, "ru", pixels // 9)
