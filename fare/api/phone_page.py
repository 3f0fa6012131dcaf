"""The passenger's page: its files, its texts, and what it must know of the city before anybody signs in."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from commons.assets import Asset, asset_of, asset_route
from commons.texts import load_catalogue
from fare.model import RiderCategory

FILES: Final = Path(__file__).parents[1] / "web"
OWN: Final = (
    "app.js",
    "ask.js",
    "codes.js",
    "history.js",
    "icon.png",
    "icon.svg",
    "kept.js",
    "keys.js",
    "manifest.webmanifest",
    "own.js",
    "own_qr.js",
    "page.css",
    "parts.js",
    "pay.js",
    "scanning.js",
    "wallet.js",
    "worker.js",
)
FARE_TEXTS: Final = ("tariff.category.", "tariff.reason.")  # of ``fare``'s catalogue: one wording everywhere
NOT_SHOWN: Final = "code."  # texts of SMS

_encoder: Final = msgspec.json.Encoder()


class CityOfPhones(msgspec.Struct, frozen=True, kw_only=True):
    """``/phone/city.json``. ``companions``: who rides as such because somebody says so, as small children do."""

    city: str  # what a phone's own QR is signed for
    zone: str
    default_category: RiderCategory
    companions: tuple[RiderCategory, ...]
    categories: Mapping[str, str]  # names in the feed, for those that the texts do not know


def page_routes(city: Callable[[], CityOfPhones]) -> list[web.RouteDef]:
    """Return the routes of the page. Its address is the widest that its worker may answer for.

    ``city`` is asked anew for each phone: a tariff version that begins may bring other categories.
    """
    texts = asset_of(_encoder.encode(_texts(city().zone)), "application/json")
    return [
        asset_route("/phone/", FILES / "phone" / "page.html"),
        asset_route("/phone/words.js", FILES / "inspector" / "words.js"),
        *(asset_route(f"/phone/{name}", FILES / "phone" / name) for name in OWN),
        _asset("/phone/texts.json", lambda: texts),
        _asset("/phone/city.json", lambda: asset_of(_encoder.encode(city()), "application/json")),
    ]


def _texts(zone: str) -> dict[str, dict[str, str]]:
    fare = load_catalogue("fare")
    return {
        language: {
            **{key: text for key, text in texts.items() if not key.startswith(NOT_SHOWN)},
            **{key: text for key, text in fare[language].items() if key.startswith(FARE_TEXTS)},
            "city.zone": zone,
        }
        for language, texts in load_catalogue("fare.phone").items()
    }


def _asset(path: str, asset: Callable[[], Asset]) -> web.RouteDef:
    async def answer(request: web.Request) -> web.Response:
        return asset().answer(request, max_age_s=0)

    return web.get(path, answer)
