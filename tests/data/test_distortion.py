"""Distortions: hand-computed powers, frequencies and decays; the same for the same seed and id."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

from fairseq_audiochat.data.audio import SAMPLE_RATE, Waveform
from fairseq_audiochat.data.distortion.distortion import Distortion
from fairseq_audiochat.data.distortion.effect import power
from fairseq_audiochat.data.distortion.noise import Noise
from fairseq_audiochat.data.distortion.reverberation import convolve, synthetic_response
from fairseq_audiochat.data.distortion.sound_files import SoundFiles
from fairseq_audiochat.data.distortion.specification import parse_distortion
from fairseq_audiochat.data.distortion.telephone import band_pass
from fairseq_audiochat.data.fbank import fbank
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Utterance


def speech(samples: int = 16_000, seed: int = 0) -> Waveform:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def tone(hertz: float, samples: int = 16_000) -> Waveform:
    return np.sin(2 * np.pi * hertz * np.arange(samples) / SAMPLE_RATE).astype(np.float32)


def write(path: Path, samples: Waveform) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    return path


def apply(text: str, waveform: Waveform, utterance_id: str = "u", seed: int = 1) -> Waveform:
    return parse_distortion(text, seed)(waveform, utterance_id)


# noise


@pytest.mark.parametrize("snr_db", [-5, 0, 7.5, 40])
def test_white_noise_has_the_snr_exactly(snr_db: float) -> None:
    signal = speech()
    noise = apply(f"noise:{snr_db}", signal).astype(np.float64) - signal
    # the sum's float32 rounds at 6e-8 of 0.1, which at 40 dB is 6e-6 of the noise
    assert 10 * np.log10(power(signal) / power(noise)) == pytest.approx(snr_db, abs=1e-3)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.03  # white: 4 / sqrt(16,000)


def test_noise_of_a_file_by_hand(tmp_path: Path) -> None:
    """A signal of ones (power 1) in a constant noise at 20 dB: power 0.01, amplitude 0.1."""
    write(tmp_path / "a.wav", np.full(10, 0.5, np.float32))
    got = apply(f"noise:20:{tmp_path / 'a.wav'}", np.ones(1_000, np.float32))
    np.testing.assert_allclose(got, 1.1, rtol=1e-6)


def test_noise_is_cut_from_the_files_of_a_folder(tmp_path: Path) -> None:
    """A short sound is repeated from a random place, a long one cut; silence is drawn again."""
    ramp = np.arange(1, 8, dtype=np.float32) / 8
    write(tmp_path / "music" / "short.flac.wav", ramp)
    write(tmp_path / "long.wav", np.linspace(0.1, 1, 5_000, dtype=np.float32))
    write(tmp_path / "silent.wav", np.zeros(3_000, np.float32))
    distortion, signal = parse_distortion(f"noise:0:{tmp_path}", 1), np.ones(1_000, np.float32)
    shapes = set()
    for index in range(30):
        noise = distortion(signal, str(index)).astype(np.float64) - 1
        assert power(noise) == pytest.approx(1, abs=1e-5)  # 0 dB below ones
        if np.allclose(noise[7:], noise[:-7], atol=1e-5):
            shapes.add(("short", int(np.argmin(noise[:7]))))
        else:
            assert np.allclose(np.diff(noise, 2), 0, atol=1e-5)  # a stretch of the line
            shapes.add(("long", round(float(noise[-1] / noise[0]), 3)))
    assert len({shape for shape in shapes if shape[0] == "short"}) > 2
    assert len({shape for shape in shapes if shape[0] == "long"}) > 5


def test_silence_has_no_snr(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"noise:3 \(utterance 'u7'\): a recording must have power .* is silent"
    ):
        apply("noise:3", np.zeros(500, np.float32), "u7")
    write(tmp_path / "a.wav", np.zeros(500, np.float32))
    with pytest.raises(ValueError, match=r"utterance 'u'\): noise must be audible, but 10 draws"):
        apply(f"noise:3:{tmp_path / 'a.wav'}", speech())


# the same for the same seed and utterance


@pytest.mark.parametrize("text", ["noise:10", "reverb:0.3", "reverb:0.3+noise:10", "telephone"])
def test_same_seed_and_utterance_same_samples(text: str) -> None:
    """In whatever order, process and repetition."""
    first = apply(text, speech(), "a")
    apply(text, speech(), "b")
    pickled: Distortion = pickle.loads(pickle.dumps(parse_distortion(text, 1)))
    assert np.array_equal(pickled(speech(), "a"), first)
    if text != "telephone":
        assert not np.array_equal(apply(text, speech(), "b"), first)
        assert not np.array_equal(apply(text, speech(), "a", seed=2), first)


def test_an_utterance_has_the_same_noise_at_every_snr() -> None:
    loud, soft = (apply(f"noise:{snr_db}", speech()) - speech() for snr_db in (0, 20))
    np.testing.assert_allclose(loud, 10 * soft, atol=1e-6)  # 20 dB are a factor of 10
    twice = apply("noise:0+noise:0", speech()) - speech()
    assert not np.allclose(twice, 2 * loud, atol=0.05)  # another one


# speed


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_speed_moves_pitch_and_duration(factor: float) -> None:
    distortion = parse_distortion(f"speed:{factor}", 1)
    got = distortion(tone(1_000), "u")
    assert len(got) == np.ceil(16_000 / factor)
    assert distortion.duration_factor == pytest.approx(1 / factor)
    expected = tone(1_000 * factor, len(got))
    middle = slice(1_000, -1_000)  # the filter meets silence at the ends
    np.testing.assert_allclose(got[middle], expected[middle], atol=2e-3)


def test_speeds_multiply() -> None:
    assert parse_distortion("speed:2+noise:3+speed:1.25", 1).duration_factor == 1 / 2.5


# reverberation


def test_synthetic_response_has_its_rt60() -> None:
    """By Schroeder's integral: the energy still to come falls by 60 dB in 0.5 s."""
    response = synthetic_response(0.5, np.random.default_rng(0)).astype(np.float64)
    assert response[0] == 1
    assert np.sum(np.square(response[1:])) == pytest.approx(1, rel=1e-5)  # as the direct path
    to_come = 10 * np.log10(np.cumsum(np.square(response[:0:-1]))[::-1])
    at_5, at_25 = (np.argmax(to_come < -decibel) for decibel in (5, 25))
    assert 3 * (at_25 - at_5) / SAMPLE_RATE == pytest.approx(0.5, rel=0.05)


def test_direct_path_is_aligned_and_the_level_kept() -> None:
    """The largest sample of the response is at 40: an echo of a half 8 samples behind it."""
    response = np.zeros(100, np.float32)
    response[[40, 48]] = 0.9, 0.45
    signal = speech(500)
    echo = signal + 0.5 * np.concatenate([np.zeros(8), signal[:-8]])
    expected = echo * np.sqrt(np.mean(signal**2) / np.mean(echo**2))
    np.testing.assert_allclose(convolve(signal, response), expected, atol=1e-6)


def test_recorded_response(tmp_path: Path) -> None:
    response = np.zeros(50, np.float32)
    response[[3, 20]] = -0.8, 0.2
    path = write(tmp_path / "room+hall.wav", response)
    expected = convolve(speech(), response)
    assert np.array_equal(apply(f"reverb:{path}", speech()), expected)
    assert np.array_equal(apply(f"reverb:{tmp_path}", speech()), expected)


def test_responses_that_cannot_be_used(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "stereo.wav", np.ones((50, 2)) / 2, SAMPLE_RATE)
    with pytest.raises(ValueError, match=r"'u'\): .*stereo\.wav: .* one channel, but has 2"):
        apply(f"reverb:{tmp_path / 'stereo.wav'}", speech())
    silent = write(tmp_path / "silent.wav", np.zeros(50, np.float32))
    with pytest.raises(ValueError, match=r"response must be audible, but .*silent\.wav is silent"):
        apply(f"reverb:{silent}", speech())


def test_silence_stays_silent() -> None:
    for text in ("reverb:0.3", "telephone", "telephone:mulaw", "speed:0.9"):
        assert np.abs(apply(text, np.zeros(900, np.float32))).max() < 1e-4  # mu-law has no 0


# telephone


@pytest.mark.parametrize(("hertz", "passes"), [(100, False), (1_000, True), (3_000, True)])
def test_telephone_passes_its_band(hertz: int, passes: bool) -> None:
    got = apply("telephone", tone(hertz))[2_000:-2_000]
    if passes:  # without delay
        np.testing.assert_allclose(got, tone(hertz)[2_000:-2_000], atol=0.01)
    else:
        assert np.abs(got).max() < 0.01  # 40 dB


@pytest.mark.parametrize("samples", [16_000, 15_999])
def test_telephone_keeps_length_and_has_nothing_above_4_khz(samples: int) -> None:
    got = apply("telephone", speech(samples))
    assert len(got) == samples
    spectrum = np.abs(np.fft.rfft(got)) ** 2
    assert spectrum[len(spectrum) // 2 :].sum() < 1e-3 * spectrum.sum()


def test_band_pass_is_scipys() -> None:
    expected = scipy.signal.firwin(257, [300, 3_400], pass_zero=False, fs=8_000, scale=False)
    np.testing.assert_allclose(band_pass().numpy(), expected, atol=1e-6)


def test_mu_law_rounds_to_256_levels() -> None:
    """A half: ln(1 + 255 / 2) / ln(256) = 0.8757 lies between the levels 239 and 240 of 255."""
    steps = 2 * np.arange(256) / 255 - 1
    levels = np.sign(steps) * (256 ** np.abs(steps) - 1) / 255
    loud, quiet = (apply("telephone:mulaw", scale * tone(500)) for scale in (0.5, 0.01))
    for scale, got in ((0.5, loud), (0.01, quiet)):
        difference = got - apply("telephone", scale * tone(500))
        # half a step at this amplitude, which is its local distance of levels; and resampling
        nearest = np.diff(levels)[np.searchsorted(levels, scale) - 1]
        assert 0.1 * nearest < np.abs(difference).max() < 2 * nearest
    assert np.abs(apply("telephone:mulaw", 3 * tone(500))).max() < 1.3  # clipped, ringing a little


# how they are written


def test_effects_in_the_order_written() -> None:
    both = parse_distortion("telephone+noise:10", 1)
    assert [effect.kind for effect in both.effects] == ["telephone", "noise"]
    expected = apply("noise:10", apply("telephone", speech()))
    assert np.array_equal(both(speech(), "u"), expected)
    assert parse_distortion(" clean ", 1).effects == ()
    assert np.array_equal(apply("clean", speech()), speech())


def test_a_path_may_hold_colons_and_pluses(tmp_path: Path) -> None:
    path = write(tmp_path / "a+b:c" / "noise+1.wav", speech())
    noise, _ = parse_distortion(f"noise:10:{path}+telephone", 1).effects
    assert isinstance(noise, Noise)
    assert noise.sounds is not None
    assert noise.sounds.path == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo:3", r"a distortion must be clean, noise:DB, .* joined by \+, but is 'echo:3'"),
        ("", "but is ''"),
        ("noise:10+echo", r"noise:10\+echo: an SNR in dB must be a number, but is '10\+echo'"),
        ("noise:loud", "noise:loud: an SNR in dB must be a number, but is 'loud'"),
        ("noise", "an SNR in dB must be a number, but is ''"),
        ("noise:nan", "must be a number of reasonable size, but is 'nan'"),
        ("speed:3", "speed:3: a speed must be from 0.5 to 2 with at most two decimals, but is 3"),
        ("speed:1.333", "at most two decimals, but is 1.333"),
        ("reverb:0", "an RT60 must be above 0 and at most 10 s, but is 0"),
        ("reverb:-1", "an RT60 must be above 0"),
        ("reverb:1.2.3", "an RT60 in seconds must be a number, but is '1.2.3'"),
        ("reverb", "reverb must have an RT60 in seconds or a path, but has nothing"),
        ("telephone:alaw", "what follows telephone must be mulaw, but is 'alaw'"),
    ],
)
def test_bad_specifications_are_explained(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_distortion(text, 1)


def test_sounds_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"noise:3:.*no: the file or folder of sounds must"):
        parse_distortion(f"noise:3:{tmp_path / 'no'}", 1)
    with pytest.raises(ValueError, match=r"reverb:.*: a folder of sounds must hold \.flac, \.mp3"):
        parse_distortion(f"reverb:{tmp_path}", 1)


def test_files_of_a_folder_are_ordered_by_name(tmp_path: Path) -> None:
    for name in ("b/z.WAV", "a.flac", "b/c.mp3", "readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = SoundFiles(tmp_path).files
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "a.flac",
        "b/c.mp3",
        "b/z.WAV",
    ]


# where features are read


def test_features_are_those_of_the_distorted_recording(tmp_path: Path) -> None:
    utterance = Utterance("u", str(write(tmp_path / "a.wav", speech())), 98, "yes")
    distortion = parse_distortion("noise:5", 3)
    expected = fbank(distortion(speech(), "u"))
    assert np.array_equal(read_features(utterance, distortion), expected)
    clean = read_features(utterance, parse_distortion("clean", 3))
    assert np.array_equal(clean, read_features(utterance))


def test_stored_features_cannot_be_distorted(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((7, 80), np.float32))
    utterance = Utterance("u", str(tmp_path / "a.npy"), 7, "yes")
    with pytest.raises(ValueError, match=r"'u'\): what is distorted must be a recording, but thes"):
        read_features(utterance, parse_distortion("noise:5", 3))
    assert read_features(utterance, parse_distortion("clean", 3)).shape == (7, 80)
