"""Text to sound by espeak-ng, as a process of its own: no shell, a deadline, few at once. Sentences are kept.

espeak-ng takes some 30 ms for a sentence of five seconds. What was spoken lately is kept in memory up to a bound,
because most sentences of a stop are the same for many listeners.
"""

import asyncio
import collections
import contextlib
import re
import secrets
import shutil
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from commons.texts import Language

PROGRAM: Final = "espeak-ng"
VOICES: Final[Mapping[Language, str]] = {"kk": "kk", "ru": "ru", "en": "en-gb"}
WORDS_PER_MINUTE: Final = 160
RATE_HZ: Final = 22_050
SAMPLE_BYTES: Final = 2
PAUSE_S: Final = 0.1  # beside the 0.4 s with which espeak-ng ends a sentence
SENTENCE_MAX: Final = 700  # characters, more than an alert may have; what is longer is cut: a minute of speech
DEADLINE_S: Final = 8.0
AT_ONCE: Final = 2
WAITING_MAX: Final = 16
KEPT_BYTES: Final = 32 * 1024 * 1024
DATA: Final = b"data"
CHUNK_HEAD: Final = 8
RIFF_HEAD: Final = 12
WAV_HEAD: Final = "<4sI4s4sIHHIIHH4sI"  # PCM, mono
UNSPOKEN: Final = re.compile(r"[\x00-\x1f\x7f]+|\[\[|\]\]")  # [[…]] would be read as phonemes


class VoiceError(Exception):
    """Nothing can be spoken. The message says why."""


class VoiceMissingError(VoiceError):
    """espeak-ng is not installed."""


class VoiceBusyError(VoiceError):
    """More is asked for than can be spoken now."""


class Voice:
    """Speaks sentences; one for all who ask."""

    def __init__(self, program: str = PROGRAM, *, kept_bytes: int = KEPT_BYTES, deadline_s: float = DEADLINE_S) -> None:
        self._program = program
        self._deadline_s = deadline_s
        self._kept_max = kept_bytes
        self._kept: collections.OrderedDict[tuple[Language, str], bytes] = collections.OrderedDict()
        self._kept_bytes = 0
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._speaking: dict[tuple[Language, str], asyncio.Task[bytes]] = {}
        self.spoken = 0  # sentences that were not kept
        self.mark = secrets.token_bytes(8)  # the same as long as the same sentences are the same sound

    async def wav(self, sentences: Sequence[str], language: Language) -> Sequence[bytes]:
        """Return the sentences as one WAV in parts, 16 bits, mono, with a pause after each.

        Parts are those that are kept, not copies: a minute of speech is megabytes, and many may listen slowly.

        Raises:
            VoiceMissingError: if espeak-ng is not installed.
            VoiceBusyError: if too many wait for their turn.
            VoiceError: if it did not speak within the deadline.
        """
        said = [await self._sentence(UNSPOKEN.sub(" ", sentence)[:SENTENCE_MAX], language) for sentence in sentences]
        pause = bytes(SAMPLE_BYTES * round(PAUSE_S * RATE_HZ))
        return _wav([sound for sentence in said for sound in (sentence, pause)])

    async def _sentence(self, sentence: str, language: Language) -> bytes:
        """Return the sound of a sentence: kept, being spoken for another who asks, or spoken now."""
        key = language, sentence
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        speaking = self._speaking.get(key)
        if speaking is None:
            if len(self._speaking) >= WAITING_MAX:
                raise VoiceBusyError(f"{WAITING_MAX} sentences wait to be spoken")
            speaking = asyncio.create_task(self._in_turn(sentence, language), name="speak")
            self._speaking[key] = speaking
            speaking.add_done_callback(lambda ended: self._spoke(key, ended))
        return await asyncio.shield(speaking)  # who goes away ends it for nobody else

    def _spoke(self, key: tuple[Language, str], ended: asyncio.Task[bytes]) -> None:
        del self._speaking[key]
        if not ended.cancelled():
            ended.exception()  # who waited was told; if nobody waits any more, nobody needs to know

    async def _in_turn(self, sentence: str, language: Language) -> bytes:
        async with self._turn:
            return self._keep((language, sentence), await self._speak(sentence, language))

    def _keep(self, key: tuple[Language, str], sound: bytes) -> bytes:
        self.spoken += 1
        self._kept[key] = sound
        self._kept_bytes += len(sound)
        while self._kept_bytes > self._kept_max:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1])
        return sound

    async def _speak(self, sentence: str, language: Language) -> bytes:
        program = shutil.which(self._program)
        if program is None:
            raise VoiceMissingError(f"{self._program} is not installed")
        arguments = ("-v", VOICES[language], "-s", str(WORDS_PER_MINUTE), "-b", "1", "--stdin", "--stdout")
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:  # not a program, or the machine has no room for one more
            raise VoiceError(f"{self._program} cannot be started: {error}") from error
        try:
            async with asyncio.timeout(self._deadline_s):
                spoken, _ = await process.communicate(sentence.encode())
        except TimeoutError as error:
            raise VoiceError(f"{self._program} did not speak within {self._deadline_s} s") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise VoiceError(f"{self._program} ended with status {process.returncode}")
        return samples(spoken)


def samples(riff: bytes) -> bytes:
    """Return the sound of a WAV written to a pipe: its sizes are not known when its head is written.

    Raises:
        VoiceError: if it is none, or not in our rate.
    """
    if riff[:4] != b"RIFF" or int.from_bytes(riff[24:28], "little") != RATE_HZ:
        raise VoiceError("what was spoken is no WAV of 22,050 Hz")
    at = RIFF_HEAD
    while at + CHUNK_HEAD <= len(riff):
        if riff[at : at + 4] == DATA:
            sound = riff[at + CHUNK_HEAD :]
            return sound[: len(sound) - len(sound) % SAMPLE_BYTES]
        at += CHUNK_HEAD + int.from_bytes(riff[at + 4 : at + CHUNK_HEAD], "little")
    raise VoiceError("what was spoken is a WAV without sound")


def _wav(sounds: Sequence[bytes]) -> Sequence[bytes]:
    size = sum(len(sound) for sound in sounds)
    head = struct.pack(
        WAV_HEAD, b"RIFF", size + struct.calcsize(WAV_HEAD) - CHUNK_HEAD, b"WAVE", b"fmt ", 16, 1, 1,
        *(RATE_HZ, RATE_HZ * SAMPLE_BYTES, SAMPLE_BYTES, 8 * SAMPLE_BYTES), DATA, size,
    )  # fmt: skip
    return [head, *sounds]
