"""The closed list of browser library and font files that npm installed, and where each is served.

Subsets and ranges of the font: every letter is in exactly one file (see ``vendor/README.md``).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

from commons.assets import asset_route

FAMILY: Final = "Golos Text"
WEIGHTS: Final = (400, 500, 600, 700)
SUBSETS: Final = ("cyrillic-ext", "cyrillic", "latin-ext", "latin")
MAX_AGE_S: Final = 86_400  # file names carry no version, so a browser asks again after a day and gets 304
WHEN_MISSING: Final = "browser library or font is not installed: run make vendor"
INSTALLED: Final = Path(__file__).parents[2] / "vendor" / "node_modules"


def vendor_files() -> Mapping[str, str]:
    """Return URL → path below ``node_modules`` of every file we serve."""
    files = {
        f"/vendor/maplibre/{name}": f"maplibre-gl/dist/{name}"
        for name in ("maplibre-gl.mjs", "maplibre-gl-worker.mjs", "maplibre-gl.css")
    }
    files |= {f"/vendor/qr/{name}": f"qr/{name}" for name in ("index.js", "decode.js")}
    files["/vendor/qr/LICENSE.txt"] = "qr/LICENSE-MIT"
    files["/vendor/maplibre/LICENSE.txt"] = "maplibre-gl/LICENSE.txt"
    files["/vendor/fonts/LICENSE.txt"] = "@fontsource/golos-text/LICENSE"
    for subset in SUBSETS:
        for weight in WEIGHTS:
            name = f"golos-text-{subset}-{weight}"
            files[f"/vendor/fonts/{name}.woff2"] = f"@fontsource/golos-text/files/{name}-normal.woff2"
    return files


def vendor_routes(installed: Path = INSTALLED) -> list[web.RouteDef]:
    """Serve what all pages share: library and fonts of ``installed`` (a ``node_modules``), and our style of them."""
    routes = [
        asset_route(url, installed / path, max_age_s=MAX_AGE_S, when_missing=WHEN_MISSING)
        for url, path in vendor_files().items()
    ]
    routes.append(asset_route("/vendor/fonts.css", Path(__file__).with_name("fonts.css"), max_age_s=MAX_AGE_S))
    routes.append(asset_route("/static/design.css", Path(__file__).with_name("design.css")))
    return routes
