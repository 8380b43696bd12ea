"""The CTC task: a checkpoint holds its vocabulary, and only training is augmented."""

import logging
from pathlib import Path

import pytest
import sentencepiece
import tiny
import torch

from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.vocabulary import Vocabulary
from fairseq_audiochat.tasks._cascade import Cascade
from fairseq_audiochat.tasks.audio_ctc import AudioCtcConfig, AudioCtcTask


def make_task(data: Path, **options: object) -> AudioCtcTask:
    return AudioCtcTask(AudioCtcConfig(data=str(data), seed=1, **options))


def test_a_checkpoint_needs_no_vocabulary_file(data_folder: Path, tmp_path: Path):
    saved = make_task(data_folder)
    assert len(saved.vocabulary) == saved.vocabulary.blank + 1
    torch.save(saved.state_dict(), tmp_path / "state.pt")
    loaded = make_task(tmp_path)
    loaded.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert loaded.vocabulary.model == saved.vocabulary.model


def test_resuming_with_another_vocabulary_is_refused(data_folder: Path, tmp_path: Path):
    saved = make_task(data_folder)
    assert saved.vocabulary
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(tiny.WORDS)] * 20),
        model_prefix=str(tmp_path / "spm"),
        vocab_size=25,
        minloglevel=2,
    )
    resumed = make_task(tmp_path)
    assert len(resumed.vocabulary) == 26
    with pytest.raises(ValueError, match="the vocabulary must be the checkpoint's, but has 25"):
        resumed.load_state_dict(saved.state_dict())


def test_a_missing_vocabulary_is_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"make it with data_prep/train_vocabulary\.py"):
        _ = make_task(tmp_path).vocabulary
    with pytest.raises(ValueError, match="must be a SentencePiece model, but"):
        Vocabulary(b"no model")


def test_only_the_split_that_is_trained_on_is_augmented(data_folder: Path):
    task = make_task(data_folder)
    task.load_dataset("train", epoch=1, combine=True, data_selector=None)  # as the trainer does
    augmented = task.dataset("train")
    task.load_dataset("train", epoch=1, combine=False)  # as fairseq-validate does
    plain = task.dataset("train")
    masked = augmented.features(0)
    assert (masked == 0).all(axis=0).sum() > 0  # whole mel bins
    assert not (plain.features(0) == 0).all(axis=0).any()
    augmented.set_epoch(2)
    assert (augmented.features(0) != masked).any()


def test_limits_are_reported(data_folder: Path, caplog: pytest.LogCaptureFixture):
    task = make_task(data_folder, max_audio_seconds=1.2)
    task.load_dataset("train", epoch=1, combine=True, data_selector=None)
    dataset = task.dataset("train")
    short = int((dataset.sizes <= 120).sum())
    assert 0 < short < 20
    with pytest.raises(ValueError, match=rf"{20 - short} of 20 utterances are longer than --max-a"):
        task.filter_indices_by_size(dataset.ordered_indices(), dataset)
    with caplog.at_level(logging.WARNING):
        kept = task.filter_indices_by_size(
            dataset.ordered_indices(), dataset, 110, ignore_invalid_inputs=True
        )
    assert len(kept) == int((dataset.sizes <= 110).sum())
    assert "utterances have more frames than --max-tokens 110" in caplog.text
    assert "are left out" in caplog.text
    with pytest.raises(
        ValueError, match="some utterance must be within the limits, but none of 20"
    ):
        task.filter_indices_by_size(
            dataset.ordered_indices(), dataset, 10, ignore_invalid_inputs=True
        )


def test_the_audio_limit_is_for_training_only(data_folder: Path):
    task = make_task(data_folder, max_audio_seconds=1.2)
    task.load_dataset("train")
    dataset = task.dataset("train")
    assert len(task.filter_indices_by_size(dataset.ordered_indices(), dataset)) == 20


def test_a_missing_data_folder_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nodata: the data folder must exist, but does not"):
        make_task(tmp_path / "nodata").load_dataset("train")


def test_a_missing_asr_checkpoint_is_named(tmp_path: Path, llm_path: Path):
    with pytest.raises(FileNotFoundError, match="--asr-checkpoint must exist, but does not; give"):
        Cascade(str(tmp_path / "no.pt"), Llama2Chat(llm_path / "tokenizer.model"), pad=340)


def test_another_tasks_checkpoint_cannot_recognise(tmp_path: Path, llm_path: Path):
    history = {"num_updates": 0, "lr_scheduler_state": {}, "criterion_name": "x"}
    checkpoint = {
        "cfg": {"task": {"_name": "audio_chat"}, "model": {"_name": "audio_prefix_llm"}},
        "model": {},
        "optimizer_history": [{**history, "optimizer_name": "adam", "best_loss": 1.0}],
        "extra_state": {"epoch": 1, "train_iterator": {"epoch": 1}},
    }
    torch.save(checkpoint, tmp_path / "chat.pt")
    with pytest.raises(ValueError, match="checkpoint of audio_ctc, but is one of 'audio_chat'"):
        Cascade(str(tmp_path / "chat.pt"), Llama2Chat(llm_path / "tokenizer.model"), pad=340)
