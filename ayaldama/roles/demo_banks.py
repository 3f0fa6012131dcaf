"""The demo's banks: a gateway with a page, ePay and Kaspi, each a server of its own, which misbehave on purpose."""

from urllib.parse import urlsplit

from ayaldama.demo import free_or
from ayaldama.demo_banks.serving import KASPI_PORT, serve_banks
from ayaldama.roles._base import RoleContext, RoleError


async def serve(context: RoleContext) -> None:
    """Serve the banks until ``context.stop``."""
    settings = context.settings
    if not settings.banks.redirect_url or not settings.banks.epay_url:
        raise RoleError("banks.redirect_url is not set: the demo's banks are where the settings say")
    host = urlsplit(settings.banks.redirect_url).hostname or settings.web.host
    kaspi = (host, free_or(KASPI_PORT, host))
    async with serve_banks(settings.banks, kaspi=kaspi, seed=settings.demo.seed, clock=context.clock) as addresses:
        context.ready({"kaspi": urlsplit(addresses["kaspi"]).port or 0})
        await context.stop.wait()
