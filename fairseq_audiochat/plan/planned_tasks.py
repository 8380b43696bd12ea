"""The tasks as a plan needs them: models without memory, and training sets that may be assumed.

Reads the LLM's configuration, never its weights, and no audio.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from transformers import AutoModelForCausalLM

from fairseq_audiochat.data.asr_dataset import AsrDataset
from fairseq_audiochat.data.batches import Batches, Indices
from fairseq_audiochat.data.chat_dataset import ChatDataset
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.fbank import NUM_MEL_BINS
from fairseq_audiochat.data.prompt_batch import PromptKind
from fairseq_audiochat.data.speech_dataset import SpeechDataset
from fairseq_audiochat.data.vocabulary import Vocabulary
from fairseq_audiochat.models.audio_prefix_llm import AudioPrefixLlmModel, read_encoder_checkpoint
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.llm_attention import ATTENTION_NAME
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint
from fairseq_audiochat.modules.llm_loading import read_llm_config
from fairseq_audiochat.plan.assumptions import (
    AssumedManifest,
    AssumedResponses,
    AssumedVocabulary,
    Assumptions,
)
from fairseq_audiochat.tasks._speech_task import SpeechTask
from fairseq_audiochat.tasks.audio_chat import AudioChatTask
from fairseq_audiochat.tasks.audio_ctc import AudioCtcTask

_PIECES = 1_500  # section 3.1
_NO_DIGEST = "0" * 64


class PlannedCtc(AudioCtcTask):
    """The task ``audio_ctc``; without a vocabulary in the data folder, with the paper's size."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The data folder's, or one that has a size only."""
        is_there = (data_folder(self.cfg) / self.cfg.vocabulary).is_file()
        return super().vocabulary if is_there else AssumedVocabulary(_PIECES)

    def assumed_dataset(self, assumptions: Assumptions) -> AsrDataset:
        """A training set that has lengths only."""
        seconds = self.cfg.max_audio_seconds
        return AsrDataset(
            AssumedManifest(assumptions.frames()), self.vocabulary, max_audio_seconds=seconds
        )

    def batch(self, dataset: AsrDataset, indices: list[int], assumed: Assumptions) -> Any:
        """A batch of silence with the lengths of some utterances."""
        items = []
        for index in indices:
            utterance = dataset.manifest[index]
            features = np.zeros((utterance.n_frames, NUM_MEL_BINS), dtype=np.float32)
            # No two neighbours are equal: between such, CTC needs a frame more.
            pieces = [1 + place % 2 for place in range(assumed.tokens(utterance.n_frames))]
            if utterance.text:
                pieces = dataset.vocabulary.encode(utterance.text)
            items.append(
                {"index": index, "utterance": utterance, "features": features, "target": pieces}
            )
        return dataset.collater(items)

    def positions(self, dataset: AsrDataset, model: Any) -> Indices:
        """Frames of 80 ms per utterance: there is no LLM."""
        lengths: Indices = model.encoder.output_lengths(dataset.sizes)
        return lengths


class PlannedChat(AudioChatTask):
    """The task ``audio_chat`` with an LLM that has sizes only."""

    _planned_llm: FrozenLlm | None = None

    def build_model(self, cfg: DictConfig, from_checkpoint: bool = False) -> AudioPrefixLlmModel:
        """Build a model with an LLM of its own."""
        self._planned_llm = None
        return super().build_model(cfg, from_checkpoint)

    def load_llm(self) -> FrozenLlm:
        """The LLM without weights."""
        if self._planned_llm is None:
            self._planned_llm = self._sized_llm()
        return self._planned_llm

    def _sized_llm(self) -> FrozenLlm:
        causal_lm = AutoModelForCausalLM.from_config(
            read_llm_config(self.cfg.llm),
            dtype=getattr(torch, str(self.cfg.llm_dtype)),
            attn_implementation=ATTENTION_NAME,
        )
        return FrozenLlm(causal_lm, LlmFingerprint(_NO_DIGEST, _NO_DIGEST, _NO_DIGEST))

    def assumed_dataset(self, assumptions: Assumptions) -> ChatDataset:
        """A training set that has lengths only."""
        frames = assumptions.frames()
        transcripts = np.array([assumptions.tokens(int(size)) for size in frames], dtype=np.int32)
        template = len(self.template.prompt(Conversation.of_text("")))
        responses = (transcripts * assumptions.response_factor).astype(np.int32)
        return ChatDataset(
            AssumedManifest(frames),
            AssumedResponses(template + transcripts, np.maximum(1, responses)),
            self.template,
            PromptKind.AUDIO,
            self.target_dictionary.pad(),
            max_audio_seconds=self.cfg.max_audio_seconds,
            context=self._context,
            max_llm_positions=self.cfg.max_llm_positions,
        )

    def batch(self, dataset: ChatDataset, indices: list[int], assumed: Assumptions) -> Any:
        """A batch of silence with the lengths of some utterances and their responses."""
        lengths = dataset.responses.lengths()
        prompt = self.template.prompt(Conversation.of_audio())
        items = []
        for index in indices:
            utterance = dataset.manifest[index]
            features = np.zeros((utterance.n_frames, NUM_MEL_BINS), dtype=np.float32)
            items.append(
                {
                    "index": index,
                    "id": utterance.id,
                    "transcripts": [utterance.text],
                    "conversation": Conversation.of_audio(),
                    "prompt": prompt,
                    "clips": [features],
                    "target": [0] * int(lengths[index]),
                }
            )
        return dataset.collater(items)

    def positions(self, dataset: ChatDataset, model: Any) -> Indices:
        """Positions that the LLM reads per utterance: prompt and response."""
        template = len(self.template.prompt(Conversation.of_audio())) - 1
        audio: Indices = model.encoder.audio_positions(dataset.sizes)
        return template + audio + dataset.responses.lengths()


PlannedTask = PlannedCtc | PlannedChat
_TASKS = {"audio_ctc": PlannedCtc, "audio_chat": PlannedChat}


def planned_task(cfg: DictConfig) -> PlannedTask:
    """The task of a configuration.

    Raises:
        ValueError: If it is none of ours.
    """
    name = cfg.task.get("_name") if cfg.task else None
    if name not in _TASKS:
        raise ValueError(f"The task must be one of {', '.join(_TASKS)}, but is {name!r}.")
    return _TASKS[name](cfg.task)


def data_folder(cfg: Any) -> Path:
    """The folder that a task's configuration names, which may not be there."""
    missing = OmegaConf.is_config(cfg) and OmegaConf.is_missing(cfg, "data")
    return Path("task.data" if missing else cfg.data)


def missing_file(task: SpeechTask, split: str) -> Path | None:
    """The first file that a split lacks, so that it must be assumed."""
    names = [f"{split}.tsv"]
    if isinstance(task, AudioChatTask):
        names.append(f"{split}.responses.jsonl")
    paths = (data_folder(task.cfg) / name for name in names)
    return next((path for path in paths if not path.is_file()), None)


def resolve_encoder(model: DictConfig) -> str:
    """Take the encoder's size from its checkpoint, and let the model start without it.

    Returns:
        A note if there is no checkpoint yet; else nothing.
    """
    path = model.get("encoder_checkpoint", "")
    if path and Path(path).exists():
        read_encoder_checkpoint(model)
        model.encoder_checkpoint, path = None, ""
    if path == "":
        return ""
    model.encoder_checkpoint = None
    return (
        f"{path or 'model.encoder_checkpoint'} is not there yet: assumed {model.encoder_layers} "
        "layers (another number: model.encoder_layers, with Hydra +model.encoder_layers)"
    )


def training_batches(task: SpeechTask, dataset: SpeechDataset, cfg: DictConfig) -> Batches:
    """The batches of an epoch, as training makes them."""
    max_tokens = cfg.dataset.max_tokens
    limit = task.max_positions() if max_tokens is None else max_tokens
    indices = task.filter_indices_by_size(dataset.ordered_indices(), dataset, limit, True)
    return dataset.batch_by_size(indices, max_tokens, cfg.dataset.batch_size)
