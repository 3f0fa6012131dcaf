"""A log of attempts that survives the acquirer's client, as a database does, and not the test."""

from collections.abc import Sequence

from fare.gateways.acquirer import Attempt, Begun, CardRequest, CardResult, KeyReusedError, Trace
from fare.model import JournalKey
from fare.risk.values import Answered


class AttemptsInMemory:
    def __init__(self) -> None:
        self.kept: dict[JournalKey, Attempt] = {}

    async def begin(self, request: CardRequest, now_ms: int) -> Begun:
        earlier = self.kept.get(request.key)
        if earlier is None:
            attempt = Attempt(request=request, trace=Trace(stan=len(self.kept) + 1, sent_ms=now_ms))
            self.kept[request.key] = attempt
            return Begun(attempt=attempt, fresh=True)
        if earlier.request != request:
            raise KeyReusedError(request.key)
        return Begun(attempt=earlier, fresh=False)

    async def find(self, key: JournalKey) -> Attempt | None:
        return self.kept.get(key)

    async def finish(self, key: JournalKey, result: CardResult) -> None:
        earlier = self.kept[key]
        self.kept[key] = Attempt(request=earlier.request, trace=earlier.trace, result=result)

    async def owed(self) -> Sequence[Attempt]:
        return [
            attempt
            for attempt in self.kept.values()
            if attempt.result is None or attempt.result.answered is Answered.UNKNOWN
        ]
