"""Cards of the town Sample, and dialogues between a reader and a card without anything between them."""

from collections.abc import Callable
from random import Random

from fare.media.card_emulator import CardContents, EmulatedCard, personalised
from fare.media.desfire import Answer, CardApplication, CardIdentity, Dialogue, read_identity

APPLICATION = CardApplication(issuer="sample")
MASTER_KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
UID = bytes.fromhex("04782e21801d80")
IDENTITY = CardIdentity(issuer="sample", identifier=bytes.fromhex("1f2e3d4c5b6a7988"), expires_ms=1_900_000_000_000)
RND_A = bytes(range(16))


def contents(uid: bytes = UID, identity: CardIdentity = IDENTITY, key: bytes = MASTER_KEY) -> CardContents:
    return personalised(uid, identity, APPLICATION, key)


def card(made: CardContents | None = None, seed: int = 1) -> EmulatedCard:
    return EmulatedCard(made or contents(), Random(seed).randbytes)  # noqa: S311 - foreseeable on purpose


def reading(rnd_a: bytes = RND_A, key: bytes = MASTER_KEY) -> Dialogue:
    return read_identity(APPLICATION, key, rnd_a)


def between(dialogue: Dialogue, answer: Callable[[bytes], bytes], took_ms: float = 5.0) -> CardIdentity:
    """Carry ``dialogue`` to its end with what gives an answer to each command."""
    command = next(dialogue)
    while True:
        try:
            command = dialogue.send(Answer(data=answer(command), took_ms=took_ms))
        except StopIteration as done:
            identity: CardIdentity = done.value
            return identity
