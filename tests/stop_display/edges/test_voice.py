"""The voice: real sound where espeak-ng is installed; a program that fails, hangs or is absent is said."""

import asyncio
import io
import shutil
import struct
import sys
import wave
from array import array
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from commons.texts import LANGUAGES, Language
from stop_display import voice as module
from stop_display.voice import PROGRAM, RATE_HZ, Voice, VoiceBusyError, VoiceError, VoiceMissingError, samples
from tests.stop_display.renderings.boards import CASES, FORMS, kit

installed = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="apt install espeak-ng")


def program(folder: Path, body: str) -> str:
    """Return a program in place of espeak-ng."""
    file = folder / "speaker"
    file.write_text(f"#!{sys.executable}\nimport sys, time, wave\ntext = sys.stdin.buffer.read()\n{body}\n")
    file.chmod(0o755)
    return str(file)


HEAD = b"RIFF\xff\xff\xff\x7fWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
SOUND = f"""
with open({{log!r}}, "ab") as log:
    log.write(text + b"\\n")
sys.stdout.buffer.write({HEAD!r} + b"data\\xff\\xff\\xff\\x7f" + b"\\1\\2" * {{samples}})
"""


def read(sound: Sequence[bytes]) -> tuple[float, int]:
    """Return seconds and loudest sample of a WAV."""
    with wave.open(io.BytesIO(b"".join(sound))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        frames = array("h", file.readframes(file.getnframes()))
        return len(frames) / RATE_HZ, max(frames)


@installed
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_board_is_heard_in_three_languages(language: Language) -> None:
    form = FORMS["speech.txt"]
    sentences = form.render(CASES["twelve lines"].showing, form.options({"lang": language}), kit()).says
    seconds, loudest = read(await Voice().wav(sentences, language))
    assert 10 < seconds < 60
    assert loudest > 5_000


@installed
async def test_what_looks_like_phonemes_is_read_not_obeyed() -> None:
    assert await Voice().wav(["[[haI]]"], "en") == await Voice().wav([" haI "], "en")


async def test_a_sentence_is_spoken_once_and_kept_up_to_a_bound(tmp_path: Path) -> None:
    log = tmp_path / "log"
    voice = Voice(program(tmp_path, SOUND.format(log=str(log), samples=1_000)), kept_bytes=5_000)
    first = await voice.wav(["one", "two"], "en")
    assert await voice.wav(["one", "two"], "en") == first
    assert log.read_text().split() == ["one", "two"]
    await voice.wav(["three"], "en")  # of 2,000 bytes each only two are kept
    await voice.wav(["two"], "en")
    assert log.read_text().split() == ["one", "two", "three"]
    await voice.wav(["one"], "en")
    await voice.wav(["one"], "ru")  # another voice
    assert log.read_text().split() == ["one", "two", "three", "one", "one"]
    assert voice.spoken == 5


async def test_a_sentence_that_many_ask_for_at_once_is_spoken_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    voice = Voice(program(tmp_path, SOUND.format(log=str(log), samples=10)))
    impatient = asyncio.create_task(voice.wav(["one"], "en"))
    others = [asyncio.create_task(voice.wav(["one"], "en")) for _ in range(100)]
    await asyncio.sleep(0)
    impatient.cancel()
    assert len({tuple(sound) for sound in await asyncio.gather(*others)}) == 1
    assert log.read_text().split() == ["one"]


async def test_the_sound_is_whole_though_its_head_does_not_know_its_length(tmp_path: Path) -> None:
    voice = Voice(program(tmp_path, SOUND.format(log=str(tmp_path / "log"), samples=RATE_HZ)))
    seconds, loudest = read(await voice.wav(["one"], "en"))
    assert seconds == pytest.approx(1 + module.PAUSE_S, abs=0.001)
    assert loudest == 0x0201


async def test_a_program_that_is_absent_fails_or_speaks_no_sound_is_said(tmp_path: Path) -> None:
    with pytest.raises(VoiceMissingError, match="not installed"):
        await Voice("no-such-program").wav(["one"], "en")
    with pytest.raises(VoiceError, match="status 3"):
        await Voice(program(tmp_path, "sys.exit(3)")).wav(["one"], "en")
    (tmp_path / "speaker").write_text("")
    with pytest.raises(VoiceError, match="cannot be started"):
        await Voice(str(tmp_path / "speaker")).wav(["one"], "en")
    with pytest.raises(VoiceError, match="no WAV"):
        await Voice(program(tmp_path, "print('hello')")).wav(["one"], "en")


async def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    body = f"import os\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    with pytest.raises(VoiceError, match="did not speak"):
        await Voice(program(tmp_path, body), deadline_s=1.5).wav(["one"], "en")
    assert not pid.exists() or not psutil.pid_exists(int(pid.read_text()))


async def test_more_than_can_wait_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    voice = Voice(program(tmp_path, "time.sleep(600)"), deadline_s=60)
    first = [asyncio.create_task(voice.wav([text], "en")) for text in ("one", "two")]
    await asyncio.sleep(0)
    with pytest.raises(VoiceBusyError):
        await voice.wav(["three"], "en")
    speaking = [task for task in asyncio.all_tasks() if task.get_name() == "speak"]
    for task in [*first, *speaking]:
        task.cancel()
    await asyncio.gather(*first, *speaking, return_exceptions=True)


@pytest.mark.parametrize(
    "riff", [b"", b"RIFF", b"RIFF" + bytes(40), b"RIFF" + bytes(20) + (8_000).to_bytes(4, "little")]
)
def test_what_is_no_wav_is_refused(riff: bytes) -> None:
    with pytest.raises(VoiceError):
        samples(riff)
