"""A listening that names itself is given the same sentences again."""

from stop_display.listenings import Listenings, listening_of
from stop_display.renderings._base import Rendered


def said(text: str) -> Rendered:
    return Rendered(body=text.encode(), says=(text,), refresh_s=30, valid_s=60)


def test_what_was_said_is_said_again_until_it_is_over() -> None:
    listenings = Listenings(most=5, kept_s=180)
    key = listening_of("alan", {"lang": "kk", "listen": "a"})
    assert listenings.again(key, 1_000.0) is None
    listenings.begin(key, said("three minutes"), 1_000.0)
    again = listenings.again(key, 1_010.5)
    assert again is not None
    assert (again.says, again.refresh_s, again.valid_s) == (("three minutes",), 19, 49)
    late = listenings.again(key, 1_179.0)
    assert late is not None
    assert (late.refresh_s, late.valid_s) == (0, 0)
    assert listenings.again(key, 1_180.0) is None


def test_another_name_stop_or_language_is_another_listening() -> None:
    listenings = Listenings(most=5, kept_s=180)
    listenings.begin(listening_of("alan", {"lang": "kk", "listen": "a"}), said("one"), 0.0)
    for stop, lang, name in (("bazar", "kk", "a"), ("alan", "ru", "a"), ("alan", "kk", "b")):
        assert listenings.again(listening_of(stop, {"lang": lang, "listen": name}), 0.0) is None


def test_a_listening_without_a_name_is_not_kept() -> None:
    listenings = Listenings(most=5, kept_s=180)
    assert listening_of("alan", {"lang": "kk", "listen": ""}) is None
    assert listening_of("alan", {"lang": "kk"}) is None
    listenings.begin(None, said("one"), 0.0)
    assert listenings.again(None, 0.0) is None


def test_the_oldest_is_forgotten() -> None:
    listenings = Listenings(most=2, kept_s=180)
    keys = [listening_of("alan", {"listen": name}) for name in "abc"]
    for key in keys:
        listenings.begin(key, said("one"), 0.0)
    assert [listenings.again(key, 0.0) is not None for key in keys] == [False, True, True]
