"""What an operator chooses about the pages of stops. Apart, so that reading settings imports no projections."""

import msgspec


class StopPageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``public_url``: where phones reach these pages, "" for the address that was asked; ``sms_code``: "" if none."""

    public_url: str = ""
    sms_code: str = ""
