"""Files served to browsers from a closed list: right type, ETag, gzip. What is not on the list does not exist.

Each file gets a route of its own, so no part of a request ever becomes a path. Contents are kept in memory and read
anew when the file on disk changes.
"""

import asyncio
import gzip
import hashlib
import mimetypes
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

COMPRESSED_ALREADY: Final = frozenset({"font/woff2", "image/png", "image/webp"})
TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
MARK: Final = re.compile(r"<!-- (head|design|brand)(?:: (.*?))? -->")
POLICY: Final[Mapping[str, str]] = {
    "default-src": "'self'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "form-action": "'none'",
}
HEAD: Final = """<meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1{viewport}" />
    <meta http-equiv="Content-Security-Policy" content="{policy}" />
    <title>Ayaldama</title>
    <link rel="icon" href="{icon}" />"""
DESIGN: Final = """<meta name="theme-color" content="#f4f2ec" media="(prefers-color-scheme: light)" />
    <meta name="theme-color" content="#0e161b" media="(prefers-color-scheme: dark)" />
    <link rel="stylesheet" href="/vendor/fonts.css" />
    <link rel="stylesheet" href="/static/design.css" />"""
BRAND: Final = """<a class="brand" href="/" data-label="home">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect x="1" y="1" width="30" height="30" rx="9" fill="var(--accent)" />
          <path d="M10 26V7" stroke="var(--accent-ink)" stroke-width="2.6" stroke-linecap="round" />
          <rect x="10" y="7" width="14" height="10" rx="3" fill="var(--sun)" />
        </svg>
        <span>Ayaldama</span>
      </a>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Bytes ready to be sent. ``zipped`` is None where compressing gains nothing."""

    body: bytes
    zipped: bytes | None
    etag: str  # without quotes
    content_type: str

    def answer(self, request: web.Request, *, max_age_s: int, status: int = 200) -> web.Response:
        """Return the response: 304 when the browser has these bytes already, gzip when it can read it.

        ``status`` other than 200: of a page that says itself what is wrong.
        """
        headers = {
            "Cache-Control": f"public, max-age={max_age_s}" if max_age_s else "no-cache",
            "ETag": f'"{self.etag}"',
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        known = (request.if_none_match or ()) if status == HTTPStatus.OK else ()
        if any(tag.value in {self.etag, "*"} for tag in known):
            return web.Response(status=304, headers=headers)
        body = self.body
        if self.zipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = self.zipped
            headers["Content-Encoding"] = "gzip"
        text = self.content_type.startswith("text/") or self.content_type.endswith(("json", "xml"))
        return web.Response(
            status=status, body=body, headers=headers, content_type=self.content_type, charset="utf-8" if text else None
        )


def asset_of(body: bytes, content_type: str) -> Asset:
    """Return ``body`` with its ETag (SHA-256 of the content) and, where it pays, its gzip form."""
    zipped = None if content_type in COMPRESSED_ALREADY else gzip.compress(body, compresslevel=6, mtime=0)
    return Asset(
        body=body,
        zipped=zipped if zipped is not None and len(zipped) < len(body) else None,
        etag=hashlib.sha256(body).hexdigest()[:32],
        content_type=content_type,
    )


def whole_page(body: bytes) -> bytes:
    """Return a page with what pages share in place of its marks.

    ``<!-- head: … -->`` is what all heads have. In it stands, with semicolons, what differs: directives of the
    Content-Security-Policy, and ``viewport`` or ``icon``, as in ``<!-- head: connect-src 'self' ws:; icon a.svg -->``.
    ``<!-- design -->`` is the look of our pages, ``<!-- brand -->`` our name that leads to the front page.
    """

    def shared(mark: re.Match[str]) -> str:
        return {"design": DESIGN, "brand": BRAND}.get(mark[1]) or _head(mark[2] or "")

    return MARK.sub(shared, body.decode("utf-8")).encode("utf-8")


def _head(differs: str) -> str:
    said = [part.strip().partition(" ") for part in differs.split(";") if part.strip()]
    policy = {**POLICY, **{name: value for name, _, value in said}}
    viewport, icon = policy.pop("viewport", ""), policy.pop("icon", "data:,")
    return HEAD.format(
        viewport=f", {viewport}" if viewport else "",
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        icon=icon,
    )


def page_of(path: Path) -> Asset:
    """Return the page of the file ``path``, whole: for whoever answers with it by itself."""
    return asset_of(whole_page(path.read_bytes()), TYPES[".html"])


def asset_route(
    url: str,
    path: Path,
    *,
    max_age_s: int = 0,
    when_missing: str = "not found",
    prepare: Callable[[bytes], bytes] = bytes,
) -> web.RouteDef:
    """Serve what ``prepare`` makes of the file ``path``. If it is not there: 404 with the sentence ``when_missing``.

    A page gets its head (``whole_page``) first.
    """
    content_type = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    held: dict[tuple[int, int], Asset] = {}

    def current() -> Asset:
        status = path.stat()
        version = (status.st_mtime_ns, status.st_size)
        if version not in held:
            held.clear()
            body = path.read_bytes()
            held[version] = asset_of(prepare(whole_page(body) if path.suffix == ".html" else body), content_type)
        return held[version]

    async def answer(request: web.Request) -> web.Response:
        try:
            asset = await asyncio.to_thread(current)
        except FileNotFoundError:
            return web.Response(status=404, text=when_missing)
        return asset.answer(request, max_age_s=max_age_s)

    return web.get(url, answer)
