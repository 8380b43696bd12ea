"""Embeddings of recordings and tokens: against the model, and for every frame rate."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F

from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.padding import pad_features
from fairseq_audiochat.evaluate.alignment.audio_text import AudioText, frames_per_position


@pytest.fixture(scope="module")
def chat(data_folder: Path, llm_path: Path):
    return tiny.make_chat(data_folder, llm_path)


@pytest.fixture(scope="module")
def space(chat) -> AudioText:
    task, model = chat
    return AudioText(model, task.template, k=3)


def features_of(data_folder: Path, *rows: int):
    manifest = Manifest(data_folder / "dev.tsv")
    return [read_features(manifest[row]) for row in rows]


def hear(space: AudioText, *clips):
    return space.hear(*pad_features(list(clips)))


@pytest.mark.parametrize("stack", [1, 2, 3, 4, 25])
def test_seconds_follow_the_stacked_frames(data_folder: Path, llm_path: Path, stack: int):
    task, model = tiny.make_chat(data_folder, llm_path, stack_frames=stack)
    assert frames_per_position(model) == 8 * stack
    space = AudioText(model, task.template, k=1)
    assert space.seconds_per_position == pytest.approx(0.08 * stack)
    features = features_of(data_folder, 0)
    positions = len(hear(space, *features)[0].embeddings)
    # The last position begins before the recording's end, and ends there or behind it.
    end = len(features[0])
    assert (positions - 1) * 8 * stack < end <= positions * 8 * stack


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (5, 2), (3, 7)])
def test_seconds_follow_the_encoders_rate(chat, monkeypatch, window: int, stride: int):
    """Convolutions without padding: a window must fit, and the next one begins a stride later."""
    _, model = chat
    positions = lambda frames: (frames - window) // stride + 1  # noqa: E731
    monkeypatch.setattr(model.encoder, "audio_positions", positions)
    assert frames_per_position(model) == stride


def test_too_few_positions_are_refused(chat, monkeypatch):
    _, model = chat
    monkeypatch.setattr(model.encoder, "audio_positions", lambda frames: -(-frames // 3_000))
    with pytest.raises(ValueError, match="three positions for 6000 frames of audio, but has 2"):
        frames_per_position(model)


def test_embeddings_are_what_the_llm_reads(chat, space: AudioText, data_folder: Path):
    task, model = chat
    inputs = tiny.batch(task, "dev", [0])["net_input"]
    inputs.pop("prev_output_tokens")
    with torch.no_grad():
        prompt = model.encoder(**inputs)["prompt_embeddings"][0][0]
    start = inputs["src_tokens"][0].tolist().index(-1)  # where the recording stands
    heard = hear(space, *features_of(data_folder, 0))[0]
    audio = F.normalize(prompt[start : start + len(heard.embeddings)], dim=-1)
    torch.testing.assert_close(heard.embeddings, audio)


def test_a_batch_gives_what_its_members_alone_give(space: AudioText, data_folder: Path):
    features = features_of(data_folder, *range(7))
    assert len({len(clip) for clip in features}) > 1  # there is padding
    together = hear(space, *features)
    for clip, heard in zip(features, together):
        alone = hear(space, clip)[0]
        # Sums of another order in matrix products of another size.
        torch.testing.assert_close(heard.embeddings, alone.embeddings, atol=1e-5, rtol=1e-4)
        assert np.array_equal(heard.nearest, alone.nearest)


def test_cosines_are_those_of_the_embeddings(chat, space: AudioText, data_folder: Path):
    task, model = chat
    features = features_of(data_folder, 1)
    ids = task.template.encode("what is it")
    heard = hear(space, *features)[0]
    with torch.no_grad():
        audio = model.encoder.embed_audio(
            torch.from_numpy(features[0])[None], torch.tensor([len(features[0])])
        )[0][0]
        text = model.decoder.llm.embed(torch.tensor(ids))
        expected = F.cosine_similarity(text.unsqueeze(1), audio.unsqueeze(0), dim=2)
    assert space.cosines(ids, heard) == pytest.approx(expected.numpy(), abs=1e-5)


def test_rows_behind_the_tokenizers_last_id_are_no_entries(data_folder: Path, tmp_path: Path):
    llm = tiny.make_llm(tmp_path / "llm", vocab_size=400)
    task, model = tiny.make_chat(data_folder, llm)
    assert len(AudioText(model, task.template, k=1).vocabulary) == task.template.vocabulary_size
