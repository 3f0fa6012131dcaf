"""SMS centre: the demo's mobile network. Telephones on a page, a centre that speaks SMPP, accounts that are charged."""

from typing import Final

import msgspec

from ayaldama.demo_sms.centre import MessageCentre, ToPhone
from ayaldama.demo_sms.page import EmulatorPage
from ayaldama.demo_sms.phones import PhoneMessage, Phones
from ayaldama.demo_sms.prepare import CHARGES_PATH
from ayaldama.health import Part
from ayaldama.http import application, serve_application
from ayaldama.roles._base import RoleContext, RoleError
from ayaldama.simulate.operator import SimulatedOperator
from ayaldama.sms_gateways import SmsGatewaysError, read_gateways
from ayaldama.web.vendor import vendor_routes

_WELL: Final = Part(ok=True, detail="a network without servers")


class CentreReadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /readyz``: it needs nobody."""

    ok: bool
    network: Part


class CentreHealth:
    """Well as long as it lives."""

    async def readiness(self) -> CentreReadiness:
        """Return that all is well."""
        return CentreReadiness(ok=True, network=_WELL)


async def serve(context: RoleContext) -> None:
    """Run the network until ``context.stop``; without agreements there is none."""
    settings, phones = context.settings, Phones()
    if settings.sms.gateways is None:
        context.ready({})
        await context.stop.wait()
        return
    try:
        agreed = read_gateways(settings.sms.gateways)
    except SmsGatewaysError as error:
        raise RoleError(str(error)) from error

    async def show(message: ToPhone) -> None:
        await phones.add(
            message.number,
            PhoneMessage(
                number=0,
                at_ms=context.clock.now_ms(),
                mine=False,
                short_code=message.short_code,
                text=message.text,
                parts=message.parts,
            ),
        )

    centre = MessageCentre({bind.system_id: bind.password for bind in agreed.smpp}, show=show)
    code = settings.sms.short_codes.split()[0]
    page = EmulatorPage(centre, phones, short_code=code, clock=context.clock)
    app = application(
        [*page.routes(), *vendor_routes()],
        (),
        health=CentreHealth(),
        metrics=context.metrics,
        settings=settings.web,
        sockets=context.sockets,
        role="sms_centre",
    )
    for one in agreed.charging:
        operator = SimulatedOperator(secret=one.secret.encode(), clock=context.clock)
        app.add_subapp(f"{CHARGES_PATH}/{one.operator}", operator.application())
    host = settings.sms.host
    async with (
        centre.serving(host, settings.demo.smpp_port),
        serve_application(app, host=host, port=settings.demo.sms_port) as port,
    ):
        context.ready({"sms_emulator": port})
        await context.stop.wait()
