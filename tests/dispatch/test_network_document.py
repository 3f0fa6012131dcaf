"""The document that the map draws is correct GeoJSON of the network that is in force."""

import dataclasses
import itertools
import json
from typing import Any

import pytest

from dispatch import network_document as module
from dispatch.network_document import CONTRAST_MIN, PALETTE, contrast, network_document
from tests.dispatch.small_city import ALAN, AUEZHAI, BAZAR, VOKZAL, Line, network_of


def document_of(*lines: Line) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(network_document(network_of(lines) if lines else network_of()))
    return found


def of_kind(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [feature for feature in document["features"] if feature["properties"]["kind"] == kind]


def test_places_come_back_from_metres_to_degrees() -> None:
    document = document_of()
    line = of_kind(document, "line")[0]
    assert line["geometry"]["type"] == "LineString"
    assert line["geometry"]["coordinates"][0] == pytest.approx([VOKZAL.lon, VOKZAL.lat], abs=2e-6)
    stop = next(feature for feature in of_kind(document, "stop") if feature["properties"]["stop"] == "alan")
    assert stop["geometry"] == {"type": "Point", "coordinates": [ALAN.lon, ALAN.lat]}


def test_stops_are_named_in_three_languages_and_unused_ones_are_left_out() -> None:
    stops = {feature["properties"]["stop"]: feature["properties"] for feature in of_kind(document_of(), "stop")}
    assert [stops["shugyla"][f"name_{language}"] for language in ("kk", "ru", "en")] == [
        "Шұғыла мөлтек ауданы",
        "мкр Шугыла",
        "Shugyla district",
    ]
    assert stops["alan"]["routes"] == ["10", "2"]
    assert "unused" not in stops


def test_routes_are_in_the_order_people_expect() -> None:
    names = ["10", "2", "10А", "1", "2²"]
    document = document_of(*(Line(route=name, direction=0, stops=(ALAN, BAZAR)) for name in names))
    assert [route["name"] for route in document["routes"]] == ["1", "2", "2²", "10", "10А"]


def test_a_pattern_names_its_line_route_and_direction() -> None:
    document = document_of()
    pattern = document["patterns"][1]
    assert (pattern["route"], pattern["direction"], pattern["headsign"]["en"]) == ("10", 1, "Railway station")
    line = next(feature for feature in of_kind(document, "line") if feature["id"] == pattern["line"])
    assert line["properties"]["route"] == "10"
    assert line["geometry"]["coordinates"][-1] == pytest.approx([VOKZAL.lon, VOKZAL.lat], abs=2e-6)


def test_every_route_number_is_legible_on_its_colour() -> None:
    colours = ("FFFF00", "000000", "FFFFFF", "7F7F7F", "")
    lines = [Line(route=str(i), direction=0, stops=(ALAN, BAZAR), colour=colour) for i, colour in enumerate(colours)]
    for route in document_of(*lines)["routes"]:
        assert contrast(route["colour"], route["text_colour"]) >= CONTRAST_MIN, route


def test_our_own_colours_carry_white_text_and_differ() -> None:
    assert min(contrast(colour, "#ffffff") for colour in PALETTE) >= CONTRAST_MIN
    assert all(a != b for a, b in itertools.combinations(PALETTE, 2))


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_bounds_hold_all_stops_in_use() -> None:
    assert document_of()["bounds"] == [VOKZAL.lon, AUEZHAI.lat, AUEZHAI.lon, VOKZAL.lat]


def test_the_same_network_gives_the_same_bytes() -> None:
    assert network_document(network_of()) == network_document(network_of())


def test_a_huge_network_is_thinned_without_leaving_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    nearly_straight = tuple(
        dataclasses.replace(VOKZAL, id=f"s{k}", lat=44.85 + k * 1e-4, lon=65.5 + k * 2e-4 + 1e-5 * (k % 2))
        for k in range(50)
    )
    line = Line(route="1", direction=0, stops=nearly_straight)
    whole = of_kind(document_of(line), "line")[0]["geometry"]["coordinates"]
    monkeypatch.setattr(module, "VERTICES_MAX", 10)
    thin = of_kind(document_of(line), "line")[0]["geometry"]["coordinates"]
    assert len(whole) == 50
    assert len(thin) < 5
    assert (thin[0], thin[-1]) == (whole[0], whole[-1])
