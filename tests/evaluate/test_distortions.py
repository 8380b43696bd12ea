"""Distortions in ``run.json`` and in folders' names; which of them are points of a line."""

from pathlib import Path

import pytest

from fairseq_audiochat.data.distortion.specification import parse_distortion
from fairseq_audiochat.evaluate.robustness.distortions import describe, folder_name, snr_db


def test_folders_are_named_after_distortions() -> None:
    assert folder_name("reverb:0.6+noise:10") == "reverb:0.6+noise:10"
    slashes = folder_name("noise:10:/data/musan")
    assert slashes.startswith("noise:10:_data_musan-")
    assert slashes != folder_name("noise:10:_data/musan")


def test_description_holds_all_that_the_samples_depend_on() -> None:
    assert describe(parse_distortion("reverb:0.6+noise:10+telephone:mulaw", 3)) == {
        "seed": 3,
        "effects": [
            {"kind": "reverb", "source": 0.6},
            {"kind": "noise", "snr_db": 10.0, "sounds": None},
            {"kind": "telephone", "mu_law": True},
        ],
    }


def test_sounds_are_described_by_content_or_by_names_and_sizes(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"

    def described(path: Path) -> dict[str, object]:
        found: dict[str, object] = describe(parse_distortion(f"noise:1:{path}", 1))
        return found

    file.write_bytes(b"one")
    of_file, of_folder = described(file), described(tmp_path)
    file.write_bytes(b"two")
    assert described(file) != of_file
    assert described(tmp_path) == of_folder
    file.write_bytes(b"three")
    assert described(tmp_path) != of_folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [("noise:-3", -3.0), ("clean", None), ("noise:5+noise:5", None), ("telephone", None)],
)
def test_snr_of_noise_alone(name: str, expected: float | None) -> None:
    assert snr_db(describe(parse_distortion(name, 1))) == expected
