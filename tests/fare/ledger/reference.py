"""The ledger once more, as plainly as it can be said: nothing is kept but the answers, all else is derived anew."""

from fare.ledger.accounts import AccountRule, rule_of
from fare.model import AccountCode, Entry, Journal, Phase
from fare.outcomes import Posting


class ReferenceLedger:
    def __init__(self) -> None:
        self.answers: dict[str, tuple[Journal, Posting]] = {}

    @property
    def posted(self) -> list[Journal]:
        return [journal for journal, outcome in self.answers.values() if outcome is Posting.POSTED]

    def balance(self, account: str) -> int:
        legs = [entry for one in self.posted if one.phase is not Phase.PENDING for entry in one.entries]
        return sum(entry.amount_tiyn for entry in legs if entry.account == account)

    def held(self, account: str) -> int:
        resolved = {one.pending_key for one in self.posted}
        holds = [one for one in self.posted if one.phase is Phase.PENDING and one.key not in resolved]
        legs = [entry for one in holds for entry in one.entries if entry.account == account]
        return sum(max(-self.rule(account).side * entry.amount_tiyn, 0) for entry in legs)

    def post(self, journal: Journal) -> Posting:
        if journal.key in self.answers:
            first, outcome = self.answers[journal.key]
            return outcome if first == journal else Posting.KEY_REUSED
        outcome = self.judge(journal)
        self.answers[journal.key] = (journal, outcome)
        return outcome

    def judge(self, journal: Journal) -> Posting:
        if sum(entry.amount_tiyn for entry in journal.entries):
            return Posting.UNBALANCED
        if any(rule_of(entry.account) is None for entry in journal.entries):
            return Posting.UNKNOWN_ACCOUNT
        if journal.pending_key is not None:
            return self.judge_resolving(journal)
        refused = self.judge_reversing(journal) if journal.reverses is not None else None
        if refused is None and any(self.lacks(entry) for entry in journal.entries):
            refused = Posting.BALANCE_TOO_LOW
        return refused or Posting.POSTED

    def judge_resolving(self, journal: Journal) -> Posting:
        hold = next((one for one in self.posted if one.key == journal.pending_key), None)
        resolved = any(one.pending_key == journal.pending_key for one in self.posted)
        if hold is None or resolved or hold.phase is not Phase.PENDING:
            return Posting.NOTHING_PENDING
        if (journal.phase is Phase.EXPIRE) != (journal.occurred_ms >= (hold.expires_ms or 0)):
            return Posting.NOTHING_PENDING
        held = {entry.account: entry.amount_tiyn for entry in hold.entries}
        within = all(
            entry.amount_tiyn * held.get(entry.account, 0) > 0 and abs(entry.amount_tiyn) <= abs(held[entry.account])
            for entry in journal.entries
        )
        return Posting.POSTED if within else Posting.EXCEEDS_PENDING

    def judge_reversing(self, journal: Journal) -> Posting | None:
        wrong = next((one for one in self.posted if one.key == journal.reverses), None)
        if wrong is None or wrong.phase not in (Phase.DIRECT, Phase.POST):
            return Posting.NOTHING_TO_REVERSE
        legs = sorted((entry.account, entry.amount_tiyn) for entry in wrong.entries)
        if sorted((entry.account, -entry.amount_tiyn) for entry in journal.entries) != legs:
            return Posting.NOTHING_TO_REVERSE
        if any(one.reverses == journal.reverses for one in self.posted):
            return Posting.ALREADY_REVERSED
        return None

    def lacks(self, entry: Entry) -> bool:
        rule = self.rule(entry.account)
        takes = -rule.side * entry.amount_tiyn
        if rule.overdraft_tiyn is None or takes <= 0:
            return False
        return takes > rule.side * self.balance(entry.account) - self.held(entry.account) + rule.overdraft_tiyn

    def rule(self, account: str) -> AccountRule:
        rule = rule_of(AccountCode(account))
        assert rule is not None
        return rule
