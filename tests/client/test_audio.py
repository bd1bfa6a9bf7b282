"""Any recording becomes 16 kHz mono PCM16, or an error that says why not."""

import os
import re
import shutil
import struct
import subprocess
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sagemaker_bidi_client import audio as audio_module
from sagemaker_bidi_client.audio import Audio, AudioError, Raw, chunk_seconds, load


def tone(rate: int, seconds: float = 0.5, channels: int = 1, hertz: float = 440.0) -> np.ndarray:
    time = np.arange(int(rate * seconds)) / rate
    mono = 0.5 * np.sin(2 * np.pi * hertz * time)
    return np.repeat(mono[:, None], channels, axis=1)


def samples(audio: Audio) -> np.ndarray:
    return np.frombuffer(audio.pcm, "<i2")


def test_sixteen_kilohertz_mono_pcm16_passes_bit_for_bit(tmp_path: Path) -> None:
    pcm = struct.pack("<6h", 0, 1, -1, 32767, -32768, 12345)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(pcm)
    audio = load(tmp_path / "a.wav")
    assert audio.pcm == pcm
    assert (audio.seconds, audio.source_rate, audio.source_channels) == (6 / 16_000, 16_000, 1)
    assert audio.format == "WAV PCM_16"


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_any_channels_come_out_as_the_same_tone(
    tmp_path: Path, rate: int, channels: int
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(rate, channels=channels), rate)
    audio = load(path)
    assert abs(audio.seconds - 0.5) < 0.001
    expected = tone(16_000)[:, 0] * 32768
    middle = slice(2_000, 6_000)
    assert np.max(np.abs(samples(audio)[middle] - expected[middle])) < 100


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3", "AIFF"])
def test_compressed_formats_are_read_whatever_the_file_is_called(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "speech.raw"
    soundfile.write(path, tone(24_000), 24_000, format=kind)
    audio = load(path)
    assert audio.format.startswith(kind)
    assert abs(audio.seconds - 0.5) < 0.1
    assert 8_000 < np.max(samples(audio)[1_000:6_000]) < 20_000


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([[1000, 3000], [-2, -4]], np.int16), 16_000, subtype="PCM_16")
    assert samples(load(path)).tolist() == [2000, -3]


def test_too_loud_infinite_and_missing_samples_become_plain_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    loud = np.array([2.0, -2.0, np.inf, -np.inf, np.nan, 0.0])
    soundfile.write(path, loud, 16_000, subtype="FLOAT")
    assert samples(load(path)).tolist() == [32767, -32768, 32767, -32768, 0, 0]


def test_one_bad_sample_stays_one_bad_sample_through_resampling(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    audio = tone(48_000)
    audio[12_000] = np.nan
    soundfile.write(path, audio, 48_000, subtype="FLOAT")
    expected = tone(16_000)[:, 0] * 32768
    error = np.abs(samples(load(path))[: len(expected)] - expected)
    assert np.max(error[4_100:7_000]) < 100


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, tone(44_100, 3.0, 2), 44_100)
    assert load(path).pcm == load(path).pcm


def test_a_truncated_file_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000, 10.0), 16_000)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    audio = load(path)
    assert 4.9 < audio.seconds <= 5.0
    assert audio.pcm == whole[44 : 44 + len(audio.pcm)]


def test_chunks_have_the_size_asked_for_and_add_up() -> None:
    audio = Audio(bytes(range(250)) * 40, 0.3125, 16_000, 1, "WAV PCM_16")
    chunks = list(audio.chunks())
    assert [len(chunk) for chunk in chunks] == [4096, 4096, 1808]
    assert b"".join(chunks) == audio.pcm
    assert chunk_seconds() == 0.128


@pytest.mark.parametrize("size", [0, -2, 4095])
def test_a_chunk_of_half_a_sample_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        Audio(b"", 0, 16_000, 1, "").chunks(size)


def test_a_text_file_is_told_by_what_libsndfile_says(tmp_path: Path) -> None:
    path = tmp_path / "notes.wav"
    path.write_text("these are notes, and no audio at all")
    with pytest.raises(AudioError, match=r"notes\.wav isn't audio .*Format not recog.*FLAC.*WAV"):
        load(path)


def test_a_missing_file_is_told_with_where_the_search_began(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"no file .*nothing\.wav: check the name"):
        load(tmp_path / "nothing.wav")


def test_a_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is a directory"):
        load(tmp_path)


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioError, match=r"is empty \(0 bytes\)"):
        load(tmp_path / "a.wav")


def test_a_file_without_samples_is_told(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 1)), 16_000)
    with pytest.raises(AudioError, match="no samples"):
        load(tmp_path / "a.wav")


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(16_000), 16_000)
    os.mkfifo(tmp_path / "pipe")
    writing = threading.Thread(
        target=lambda: (tmp_path / "pipe").write_bytes((tmp_path / "a.wav").read_bytes())
    )
    writing.start()
    try:
        assert load(tmp_path / "pipe") == load(tmp_path / "a.wav")
    finally:
        writing.join()


def test_a_pipe_that_nobody_writes_to_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_module, "PIPE_SECONDS", 0.01)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AudioError, match=r"nobody has written to the pipe .*pipe for 0\.01 s"):
        load(tmp_path / "pipe")


def test_a_device_is_refused_at_once() -> None:
    with pytest.raises(AudioError, match="neither a file nor a pipe"):
        load("/dev/zero")


def test_wav_that_says_it_holds_nothing_and_goes_on_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000)
    whole = load(path)
    streamed = bytearray(path.read_bytes())
    at = streamed.index(b"data")
    streamed[4:8] = streamed[at + 4 : at + 8] = bytes(4)
    path.write_bytes(streamed)

    assert load(path) == whole


def test_wav_that_holds_nothing_and_says_so_has_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000, seconds=0), 16_000)
    # A chunk behind the audio is no audio.
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")

    with pytest.raises(AudioError, match="no samples in it"):
        load(path)


def test_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(16_000, seconds=9), 16_000)
    whole = load(path)
    streamed = bytearray(path.read_bytes())
    # RFC 9639 8.2: 36 bits of STREAMINFO, and no MD5 of what is not known yet.
    streamed[21] &= 0xF0
    streamed[22:26] = bytes(4)
    streamed[26:42] = bytes(16)
    path.write_bytes(streamed)

    assert load(path) == whole


def test_channels_of_opposite_phase_are_told_and_the_loudest_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    mono = tone(48_000)
    soundfile.write(path, np.hstack([-0.999 * mono, mono]), 48_000)

    audio = load(path)

    assert "cancel each other out" in audio.note
    assert "channel 2 alone" in audio.note
    assert 15_000 < np.max(samples(audio)[1_000:6_000]) < 17_000


@pytest.mark.parametrize("encoding", ["pcm16", "ulaw", "alaw"])
def test_samples_without_a_header_are_read_as_they_are_said_to_be(
    tmp_path: Path, encoding: str
) -> None:
    path, subtype = tmp_path / "a.raw", audio_module.ENCODINGS[encoding]
    soundfile.write(tmp_path / "a.wav", tone(8_000), 8_000, subtype=subtype)
    soundfile.write(path, tone(8_000), 8_000, format="RAW", subtype=subtype, endian="LITTLE")

    audio = load(path, raw=Raw.parse(f"8000:{encoding}"))

    assert audio.pcm == load(tmp_path / "a.wav").pcm


@pytest.mark.parametrize("text", ["", "fast", "0", "8000:mp3", "-8000", "8000:ulaw:2"])
def test_a_description_of_samples_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"8000:ulaw|one of pcm16"):
        Raw.parse(text)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here")
def test_the_conversion_that_an_error_advises_makes_audio_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "two words.mka"
    soundfile.write(tmp_path / "a.wav", tone(48_000, channels=2), 48_000)
    subprocess.run(["ffmpeg", "-v", "error", "-i", "a.wav", source.name], check=True)
    with pytest.raises(AudioError) as told:
        load(source)
    [command] = re.findall("`(.*)`", str(told.value))

    subprocess.run(["sh", "-c", command], check=True, capture_output=True)

    assert abs(load("speech.wav").seconds - 0.5) < 0.1


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here")
@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3", "au", "aiff", "w64"])
def test_what_ffmpeg_pipes_is_read(tmp_path: Path, form: str) -> None:
    soundfile.write(tmp_path / "a.wav", tone(16_000, seconds=9), 16_000)
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.wav"), "-f", form, "pipe:1"]
    path = tmp_path / "piped"
    path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)

    assert abs(load(path).seconds - 9) < 0.2


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioError, match=r"can't be read: Permission denied"):
        load(path)


def test_no_file_descriptor_is_left_open(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    soundfile.write(good, tone(16_000), 16_000)
    bad.write_text("no audio")
    before = len(os.listdir("/dev/fd"))
    load(good)
    with pytest.raises(AudioError):
        load(bad)
    assert len(os.listdir("/dev/fd")) == before


def test_the_audio_itself_stays_out_of_the_repr() -> None:
    assert "pcm" not in repr(Audio(b"secret words", 0.1, 16_000, 1, "WAV PCM_16"))
