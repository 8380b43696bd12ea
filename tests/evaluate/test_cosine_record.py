"""The cosines behind a heat map: what they are, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import tiny

from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.evaluate.alignment.audio_text import AudioText
from fairseq_audiochat.evaluate.alignment.cosine_record import (
    heat_map_of,
    read_cosines,
    write_cosines,
)


@pytest.fixture(scope="module")
def space(data_folder: Path, llm_path: Path) -> AudioText:
    task, model = tiny.make_chat(data_folder, llm_path, stack_frames=2)
    return AudioText(model, task.template, k=1)


def test_what_is_drawn(space: AudioText, data_folder: Path):
    utterance = Manifest(data_folder / "dev.tsv")[0]
    heat_map = heat_map_of(space, utterance)
    assert heat_map.title == f"“{utterance.text}” (dev-0)"
    assert "".join(heat_map.labels) == utterance.text.replace(" ", "·")
    assert heat_map.seconds == utterance.n_frames / 100
    assert heat_map.seconds_per_position == 0.16
    positions = -(-utterance.n_frames // 16)
    assert heat_map.cosines.shape == (len(heat_map.labels), positions)


def test_files_keep_four_digits(space: AudioText, data_folder: Path, tmp_path: Path):
    heat_map = heat_map_of(space, Manifest(data_folder / "dev.tsv")[1])
    write_cosines(heat_map, tmp_path / "a/b.json")
    read = read_cosines(tmp_path / "a/b.json")
    assert read.cosines == pytest.approx(heat_map.cosines, abs=0.5e-4 + 1e-7)
    assert read.cosines.dtype == np.float32
    assert read._replace(cosines=0) == heat_map._replace(cosines=0)
    write_cosines(read, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "a/b.json").read_bytes()


def test_empty_transcripts_are_refused(space: AudioText, data_folder: Path):
    utterance = Manifest(data_folder / "dev.tsv")[0]._replace(text=" ")
    with pytest.raises(ValueError, match="'dev-0': a heat map must have tokens, but the transcri"):
        heat_map_of(space, utterance)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"title": "x"}'])
def test_other_files_are_refused(tmp_path: Path, content: str):
    (tmp_path / "0.json").write_text(content)
    with pytest.raises(ValueError, match=r"0\.json: it must hold the cosines .* compute them anew"):
        read_cosines(tmp_path / "0.json")
