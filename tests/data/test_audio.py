"""Audio: complete, mono, 16 kHz, or one clear sentence."""

import io
import logging
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from fairseq_audiochat.data import audio
from fairseq_audiochat.data.audio import read_audio

SECONDS = np.arange(3 * 16_000) / 16_000
TONE = 0.4 * np.sin(2 * np.pi * 440 * SECONDS)  # three seconds: several pages of ogg
FORMATS: dict[str, dict[str, str]] = {
    "wav": {"subtype": "PCM_16"},
    "flac": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "mp3": {},
}


def write(folder: Path, suffix: str = "wav", samples: Any = TONE, rate: int = 16_000) -> Path:
    path = folder / f"a.{suffix}"
    soundfile.write(path, samples, rate, **FORMATS[suffix])
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_all_formats_are_read(tmp_path: Path, suffix: str) -> None:
    """Lossless ones to half a 16-bit step (and float32's rounding); the others by correlation."""
    waveform = read_audio(write(tmp_path, suffix))
    assert waveform.dtype == np.float32
    assert waveform.shape == TONE.shape
    if suffix in ("wav", "flac"):
        np.testing.assert_allclose(waveform, TONE, atol=1.01 / 2**15)
    else:
        assert np.corrcoef(waveform, TONE)[0, 1] > 0.98


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    """libsndfile reads a truncated wav, ogg or opus without a word."""
    path = write(tmp_path, suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"a\.{suffix}: .*(truncated, fetch it again|decodable)"):
        read_audio(path)


def test_truncated_flac_looks_whole_from_outside(tmp_path: Path) -> None:
    path = write(tmp_path, "flac")
    path.write_bytes(path.read_bytes()[:-100])
    assert soundfile.info(path).frames == len(TONE)
    with pytest.raises(ValueError, match=r"a\.flac: the audio must be decodable, but: .*lost sync"):
        read_audio(path)


def test_what_a_truncated_file_lacks(tmp_path: Path) -> None:
    wav = write(tmp_path, "wav").read_bytes()
    with pytest.raises(
        ValueError, match=r"must have all bytes .* promises, but lacks 7; the file is"
    ):
        read_audio(wav[:-7], "x")
    opus = write(tmp_path, "opus").read_bytes()
    with pytest.raises(ValueError, match=r"x: an ogg or opus file must end with its last page"):
        read_audio(opus[:-1], "x")
    mp3 = write(tmp_path, "mp3").read_bytes()
    with pytest.raises(
        ValueError, match=r"the 48000 samples that its header promises, but has \d+;"
    ):
        read_audio(mp3[: len(mp3) // 2], "x")


def test_wav_of_a_pipe_has_no_length(tmp_path: Path) -> None:
    """ffmpeg writes 0xFFFFFFFF where it cannot know the size; that is no truncation."""
    content = bytearray(write(tmp_path, "wav").read_bytes())
    position = content.index(b"data") + 4
    content[position : position + 4] = struct.pack("<I", 0xFFFF_FFFF)
    assert len(read_audio(bytes(content))) == len(TONE)


def test_chunk_before_the_data_is_skipped(tmp_path: Path) -> None:
    """An odd chunk is padded to an even length (RIFF)."""
    content = write(tmp_path, "wav").read_bytes()
    position = content.index(b"data")
    longer = content[:position] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + content[position:]
    assert len(read_audio(longer)) == len(TONE)
    with pytest.raises(ValueError, match="lacks 1;"):
        read_audio(longer[:-1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x: the audio must be decodable, but: .*(unknown|not recognised)"),
        (b"this is no audio", r"x: the audio must be decodable, but: "),
    ],
)
def test_no_audio_is_named(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_audio(content, "x")
    assert "BytesIO" not in str(caught.value)


def test_no_samples(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"a\.wav: the audio must have samples, but is empty; leave"
    ):
        read_audio(write(tmp_path, samples=np.zeros(0)))


def test_samples_that_are_no_numbers(tmp_path: Path) -> None:
    bad = np.array([0.1, np.nan, np.inf, 0.2], dtype=np.float32)
    path = tmp_path / "a.wav"
    soundfile.write(path, bad, 16_000, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"a\.wav: samples must be finite, but 2 are NaN or inf"):
        read_audio(path)


@pytest.mark.parametrize("rate", [1_000, 1_000_000])
def test_impossible_rates(tmp_path: Path, rate: int) -> None:
    with pytest.raises(
        ValueError, match=rf"must be between 4000 and 384000 Hz, but is {rate}; the"
    ):
        read_audio(write(tmp_path, rate=rate))


def test_impossible_length_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    """Flac's 36 bits for the number of samples, all ones: 2 ** 36 / 16,000 / 3,600 = 1,193 hours.

    They lie in the low half of byte 13 and in bytes 14 to 17 of STREAMINFO, which begins at
    byte 8 of the file.
    """
    content = bytearray(write(tmp_path, "flac").read_bytes())
    content[8 + 13] |= 0x0F
    content[8 + 14 : 8 + 18] = b"\xff" * 4
    with pytest.raises(
        ValueError, match=r"at most 24 hours, but its header promises 1193; the head"
    ):
        read_audio(bytes(content), "x")


def test_missing_file_is_named(tmp_path: Path) -> None:
    for source in (tmp_path / "no.wav", f"{tmp_path}/no.zip:0:10"):
        with pytest.raises(
            FileNotFoundError, match=r"no\.\w+: the audio file must exist, but does"
        ):
            read_audio(source)


def test_another_rate_is_resampled_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same tone sampled at 8 and 44.1 kHz is the same tone at 16 kHz, but for its ends."""
    audio._say_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        for rate in (8_000, 44_100, 8_000):
            tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(3 * rate) / rate)
            waveform = read_audio(write(tmp_path, samples=tone, rate=rate))
            assert len(waveform) == len(TONE)
            # 1e-3: the resampling filter's ripple, 0.2 % of the amplitude, and 16-bit steps
            np.testing.assert_allclose(waveform[500:-500], TONE[500:-500], atol=1e-3)
    assert caplog.messages == [
        "recordings with 8000 Hz are resampled to 16000 Hz",
        "recordings with 44100 Hz are resampled to 16000 Hz",
    ]


def test_channels_are_averaged_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Channels of 0.5 and 0.25, both exact in 16 bits, have the mean 0.375."""
    audio._say_once.cache_clear()
    path = write(tmp_path, samples=np.tile([0.5, 0.25], (1_000, 1)))
    with caplog.at_level(logging.WARNING):
        assert set(read_audio(path).tolist()) == set(read_audio(path).tolist()) == {0.375}
    assert caplog.messages == ["recordings with 2 channels are mixed down to mono"]


def test_slice_of_an_archive(tmp_path: Path) -> None:
    """fairseq's ``archive.zip:offset:length`` into an uncompressed archive."""
    buffer = io.BytesIO()
    soundfile.write(buffer, TONE, 16_000, format="WAV")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("first", b"other")
        archive.writestr("second", buffer.getvalue())
    content = (tmp_path / "a.zip").read_bytes()
    offset, length = content.index(b"RIFF"), len(buffer.getvalue())
    waveform = read_audio(f"{tmp_path}/a.zip:{offset}:{length}")
    assert np.array_equal(waveform, read_audio(buffer.getvalue()))


def test_channels_that_cancel_out_are_refused(tmp_path: Path) -> None:
    left = 0.3 * np.sin(np.arange(16_000) / 20)
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left], axis=1), 16_000)
    with pytest.raises(ValueError, match="must be audible, but they cancel each other out"):
        read_audio(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.zeros((16_000, 2)), 16_000)  # silence is silence
    assert (read_audio(tmp_path / "b.wav") == 0).all()


@pytest.mark.parametrize("format", ["AIFF", "RF64", "W64", "AU"])
def test_formats_that_are_not_checked_for_being_whole_are_refused(
    tmp_path: Path, format: str
) -> None:
    soundfile.write(tmp_path / "a", np.zeros(16_000), 16_000, format=format)
    with pytest.raises(ValueError, match=rf"must be of the format WAV, .*, but is {format}"):
        read_audio(tmp_path / "a")
