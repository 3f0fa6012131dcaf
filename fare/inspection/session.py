"""Somebody signed in at the inspectors' desk."""

from dataclasses import dataclass, field
from typing import NewType

from fare.inspection.cases import PersonId, Role

SessionToken = NewType("SessionToken", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody signed in. ``token`` is secret: it is shown to the phone once and never logged."""

    token: SessionToken = field(repr=False)
    person_id: PersonId
    role: Role
    until_ms: int
