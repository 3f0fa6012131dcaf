"""What a code held to the scanner is: a phone that proves itself by a list of keys, without a network. Pure."""

from fare.media._base import Presented, Proof
from fare.model import MediumKind
from fare.phone.own_qr import OwnRefusal, read_own_code, unlisted
from fare.validator.deny_list import TokenList


def presented_of(text: str, phones: TokenList | None, *, city: str, now_ms: int, read_ms: int) -> Presented:
    """Return the showing of ``text`` at ``now_ms``, the device's clock corrected; ``read_ms`` is what it says itself.

    ``phones``: keys by their ids, None while there is no list. A code that is right but not of now is STALE.
    """
    code = read_own_code(text)
    if code is None:
        return Presented(kind=MediumKind.PHONE, read_ms=read_ms, proof=Proof.FAILED)
    value = phones.value(int(code.key_id, 16)) if phones is not None else None
    key = unlisted(value) if value is not None else None
    refusal = code.refusal(key, city=city, now_ms=now_ms)
    if refusal in {OwnRefusal.OLD, OwnRefusal.EARLY}:
        return Presented(kind=MediumKind.PHONE, read_ms=read_ms, proof=Proof.STALE)
    if key is None or refusal is not None:
        return Presented(kind=MediumKind.PHONE, read_ms=read_ms, proof=Proof.FAILED)
    return Presented(
        kind=MediumKind.PHONE,
        medium_id=key.medium_id,
        counter=code.second,
        read_ms=read_ms,
        proof=Proof.VERIFIED,
        expires_ms=key.until_ms,
    )
