"""A desk in memory: sessions, facts and cases that a test can look into."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from fare.inspection.cases import CaseOutcome, Entry, PersonId, Record, Role, broken_at, decide, recorded
from fare.inspection.session import Session, SessionToken
from fare.inspection.values import InspectionRules, Showing, Standing, VehicleFacts

HOUR_MS = 3_600_000
PIN = "4711"


@dataclass(kw_only=True)
class DeskInMemory:
    vehicles: dict[str, VehicleFacts]
    roles: dict[PersonId, Role] = field(default_factory=lambda: {PersonId("7"): Role.INSPECTOR})
    looks: list[tuple[PersonId, str, Standing]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    sessions: dict[SessionToken, Session] = field(default_factory=dict)

    async def sign_in(self, person_id: PersonId, pin: str, now_ms: int) -> Session | None:
        if person_id not in self.roles or pin != PIN:
            return None
        token = SessionToken(f"secret-{person_id}-{len(self.sessions)}")
        session = Session(token=token, person_id=person_id, role=self.roles[person_id], until_ms=now_ms + HOUR_MS)
        self.sessions[token] = session
        return session

    async def session(self, token: SessionToken, now_ms: int) -> Session | None:
        session = self.sessions.get(token)
        return session if session is not None and now_ms < session.until_ms else None

    async def facts(self, vehicle_id: str, now_ms: int) -> VehicleFacts | None:
        return self.vehicles.get(vehicle_id)

    async def looked(self, person_id: PersonId, vehicle_id: str, standing: Standing, now_ms: int) -> None:
        self.looks.append((person_id, vehicle_id, standing))

    async def shown(self, tap_key: str, person_id: PersonId, showing: Showing) -> None:
        self.vehicles = {name: shown_once_more(facts, tap_key, showing) for name, facts in self.vehicles.items()}

    async def append(self, entry: Entry, rules: InspectionRules) -> CaseOutcome:
        history = [record.entry for record in self.records if record.entry.case_id == entry.case_id]
        outcome = decide(history, entry, rules)
        if outcome is CaseOutcome.RECORDED:
            self.records.append(recorded(entry, self.records[-1] if self.records else None))
        assert broken_at(self.records) is None
        return outcome


def shown_once_more(facts: VehicleFacts, tap_key: str, showing: Showing) -> VehicleFacts:
    known = {one.showing_id for tap in facts.taps for one in tap.shown}
    taps = tuple(
        replace(tap, shown=(*tap.shown, showing)) if tap.key == tap_key and showing.showing_id not in known else tap
        for tap in facts.taps
    )
    return replace(facts, taps=taps)
