"""Stops are found by what people type."""

import dataclasses
import unicodedata

import pytest

from gtfs_data.network import Network
from stop_display.plan import Plan
from stop_display.search import StopSearch, fold
from tests.dispatch.small_city import Line, Stop, network_of


def found(query: str, network: Network | None = None, limit: int = 10) -> list[str]:
    network = network or network_of()
    return [stop.stop for stop in StopSearch(network, Plan(network)).find(query, limit)]


@pytest.mark.parametrize(
    ("typed", "stop"),
    [
        ("Шұғыла", "shugyla"),
        ("шугыла", "shugyla"),  # a Russian keyboard
        ("Теміржол", "vokzal"),
        ("темиржол вокз", "vokzal"),
        ("Кызылорда ауеж", "auezhai"),
        ("кызылорда аует", None),
        ("ж/д", "vokzal"),
        ("рынок", "bazar"),
        ("Central SQUARE", "alan"),
        ("square central", "alan"),
        ("002", "bazar"),
        ("auezhai", "auezhai"),
        ("  Airport  ", "auezhai"),
        ("zhetysu", None),
        ("!?", None),
    ],
)
def test_what_people_type(typed: str, stop: str | None) -> None:
    assert found(typed) == ([] if stop is None else [stop])


def test_letters_typed_as_two_characters_are_the_same_letters() -> None:
    assert fold(unicodedata.normalize("NFD", "Әуежай, Ёлка")) == fold("Әуежай, Ёлка") == "ауежай, елка"


def test_an_empty_query_gives_the_busiest_stops_that_a_bus_leaves_from() -> None:
    assert found("")[:2] == ["alan", "bazar"]
    assert "unused" not in found("")
    assert found("", limit=1) == ["alan"]


def test_a_code_comes_before_names_and_a_name_that_begins_so_before_one_that_contains_it() -> None:
    near = Stop(id="7", kk="Абай 001", ru="Абай 001", en="Abai 001", lat=44.85, lon=65.5)
    far = Stop(id="8", kk="Кіші Абай", ru="Кіші Абай", en="Kishi Abai", lat=44.86, lon=65.5)
    end = Stop(id="9", kk="Соңы", ru="Конец", en="End", lat=44.87, lon=65.5)
    network = network_of([Line(route="1", direction=0, stops=(far, near, end))], unused=())
    assert found("абай", network) == ["7", "8"]
    assert found("001", network)[0] == "7"
    codes = dataclasses.replace(network.stops, codes=("001", "x", "y"))
    assert found("001", dataclasses.replace(network, stops=codes))[0] == "8"


def test_two_platforms_of_one_name_are_told_apart_by_where_buses_go() -> None:
    network = network_of()
    (bazar,) = StopSearch(network, Plan(network)).find("сыбага базар", 5)
    assert bazar.routes == ["2", "10"]
    assert set(bazar.towards["ru"].split(", ")) <= {"мкр Шугыла", "Ж/д вокзал", "Аэропорт"}


def test_an_endless_query_is_cut() -> None:
    assert found("а" * 100_000) == []
