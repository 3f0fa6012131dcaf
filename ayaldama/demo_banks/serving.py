"""The three banks of the demo as servers, and the settings by which the city knows them."""

import base64
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import numpy as np
from aiohttp import web

from ayaldama.demo import PortClaims
from ayaldama.demo_banks.epay import EpayDesk
from ayaldama.demo_banks.kaspi import KaspiDesk
from ayaldama.demo_banks.mischief import DELAY_MAX_S, Mischief, open_teller
from ayaldama.demo_banks.redirect import RedirectDesk
from ayaldama.http import serve_application
from ayaldama.settings import BanksSection
from commons.clock import Clock
from fare.gateways.bank_redirect import read_secret

REDIRECT_PORT: Final = 8091
EPAY_PORT: Final = 8092
KASPI_PORT: Final = 8093
SECRET_BYTES: Final = 32
CLIENT: Final = "demo"  # what our banks call the city: no real bank does


def demo_banks(kept: Path, *, host: str, hooks_url: str, return_url: str, claims: PortClaims) -> BanksSection:
    """Return settings of the demo's banks on free ports of ``host``; their secrets are made once and kept in a file."""
    if not kept.exists():
        kept.touch(mode=0o600)
        kept.write_bytes(msgspec.json.encode([secrets.token_hex(SECRET_BYTES) for _ in range(3)]))
    key, epay_secret, kaspi_secret = msgspec.json.decode(kept.read_bytes(), type=list[str])
    epay_url = f"http://{host}:{claims.some_port(EPAY_PORT, host)}"
    return BanksSection(
        hooks_url=hooks_url,
        return_url=return_url,
        redirect_url=f"http://{host}:{claims.some_port(REDIRECT_PORT, host)}",
        redirect_key=key,
        redirect_secrets=f"whsec_{base64.b64encode(bytes.fromhex(key)).decode()}",
        epay_url=epay_url,
        epay_oauth_url=epay_url,
        epay_client=CLIENT,
        epay_secret=epay_secret,
        epay_terminal="demo",
        kaspi_secret=kaspi_secret,
        kaspi_addresses="127.0.0.0/8 ::1",
    )


@asynccontextmanager
async def serve_banks(
    settings: BanksSection,
    *,
    kaspi: tuple[str, int],
    seed: int,
    clock: Clock,
    delay_max_s: float = DELAY_MAX_S,
) -> AsyncIterator[dict[str, str]]:
    """Serve the banks where the settings say they are, Kaspi's app at ``kaspi``; gives their addresses by name."""
    chances = np.random.default_rng(seed).spawn(3)
    mischiefs = [Mischief(chance, delay_max_s=delay_max_s) for chance in chances]
    hooks_url = settings.hooks_url.rstrip("/")
    async with open_teller() as teller, AsyncExitStack() as servers:
        redirect = RedirectDesk(
            url=settings.redirect_url,
            hook=f"{hooks_url}/banks/redirect",
            key=settings.redirect_key,
            secret=read_secret(settings.redirect_secrets.split()[0]),
            mischief=mischiefs[0],
            teller=teller,
            clock=clock,
        )
        epay = EpayDesk(
            url=settings.epay_url,
            client_id=settings.epay_client,
            client_secret=settings.epay_secret,
            mischief=mischiefs[1],
            teller=teller,
            clock=clock,
        )
        app = KaspiDesk(
            hook=f"{hooks_url}/banks/kaspi", secret=settings.kaspi_secret, mischief=mischiefs[2], teller=teller
        )
        await _serve(servers, redirect.routes(), *_place(settings.redirect_url))
        await _serve(servers, epay.routes(), *_place(settings.epay_url))
        port = await _serve(servers, app.routes(), *kaspi)
        yield {
            "redirect": settings.redirect_url,
            "epay": settings.epay_url,
            "kaspi": f"http://{kaspi[0]}:{port}",
        }


async def _serve(servers: AsyncExitStack, routes: Iterable[web.RouteDef], host: str, port: int) -> int:
    app = web.Application()
    app.add_routes(routes)
    return await servers.enter_async_context(serve_application(app, host=host, port=port))


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0
