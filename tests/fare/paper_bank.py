"""A bank in memory, with the faults that banks have: it forgets to answer, says no, and is told to pay by the test."""

from dataclasses import dataclass, field

from fare.gateways.bank import BankSilentError, Intent, Opened, OpenRefused, Returning
from fare.top_ups import BankState, BankWord, Invoice


@dataclass
class PaperBank:
    lifetime_ms: int = 1_200_000
    payments: dict[Invoice, BankWord] = field(default_factory=dict)
    intents: list[Intent] = field(default_factory=list)
    refunds_tiyn: dict[str, int] = field(default_factory=dict)  # by reference: each is done once
    refuses: bool = False  # to open, and to give back
    silent: int = 0  # so many of the next requests are done, and their answers lost
    deaf: int = 0  # so many of the next requests are neither done nor answered

    async def open(self, intent: Intent) -> Opened | OpenRefused:
        self._may_not_hear()
        self.intents.append(intent)
        if self.refuses:
            return OpenRefused(reason="closed")
        if intent.invoice not in self.payments:
            self.payments[intent.invoice] = BankWord(
                invoice=intent.invoice,
                operation_id=f"op-{len(self.payments)}",
                state=BankState.PENDING,
                amount_tiyn=intent.amount_tiyn,
            )
        self._may_lose_the_answer()
        return Opened(link=f"https://bank.example/{intent.invoice}")

    async def status(self, invoice: Invoice) -> BankWord | None:
        self._may_not_hear()
        self._may_lose_the_answer()
        return self.payments.get(invoice)

    async def give_back(self, payment: BankWord, reference: str, amount_tiyn: int) -> Returning:
        self._may_not_hear()
        kept = self.payments[payment.invoice]
        done_tiyn = kept.refunded_tiyn or 0
        if reference not in self.refunds_tiyn:
            if self.refuses or done_tiyn + amount_tiyn > kept.amount_tiyn:
                return Returning.REFUSED
            self.refunds_tiyn[reference] = amount_tiyn
            self.says(payment.invoice, refunded_tiyn=done_tiyn + amount_tiyn)
        self._may_lose_the_answer()
        return Returning.DONE

    def says(
        self,
        invoice: Invoice,
        state: BankState = BankState.PAID,
        *,
        amount_tiyn: int | None = None,
        refunded_tiyn: int = 0,
    ) -> BankWord:
        """Let the payment stand so at the bank from now on; return the word of it."""
        before = self.payments[invoice]
        self.payments[invoice] = BankWord(
            invoice=invoice,
            operation_id=before.operation_id,
            state=state,
            amount_tiyn=before.amount_tiyn if amount_tiyn is None else amount_tiyn,
            refunded_tiyn=refunded_tiyn,
        )
        return self.payments[invoice]

    def _may_not_hear(self) -> None:
        if self.deaf:
            self.deaf -= 1
            raise BankSilentError("redirect", "test", "deaf")

    def _may_lose_the_answer(self) -> None:
        if self.silent:
            self.silent -= 1
            raise BankSilentError("redirect", "test", "the answer is lost")
