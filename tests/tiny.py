"""Tiny versions of everything real: an LLM, tokenizers, recordings, data folders.

Made by the tests, from a seed, in the real formats; nothing is downloaded.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import soundfile
import torch
from omegaconf import DictConfig, OmegaConf
from transformers import LlamaConfig, LlamaForCausalLM

from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.fbank import num_frames
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.manifest import Utterance, write_manifest
from fairseq_audiochat.data.response_record import Response, ResponseHeader
from fairseq_audiochat.data.template_loading import load_template
from fairseq_audiochat.models.audio_prefix_llm import AudioPrefixLlmConfig, AudioPrefixLlmModel
from fairseq_audiochat.modules.llm_loading import load_llm
from fairseq_audiochat.tasks._audio_chat_config import AudioChatConfig
from fairseq_audiochat.tasks.audio_chat import AudioChatTask

WORDS = [
    "what",
    "is",
    "the",
    "capital",
    "of",
    "france",
    "name",
    "two",
    "colours",
    "say",
    "it",
    "again",
    "please",
    "tell",
    "me",
    "more",
]
LLAMA2_SETTINGS = {
    "model_type": "bpe",
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "split_digits": True,
    "allow_whitespace_only_pieces": True,
    "pad_id": -1,
    "minloglevel": 2,
}


def make_llm_tokenizer(path: Path, vocabulary_size: int = 340, **changes: object) -> Path:
    """A ``tokenizer.model`` with Llama-2's SentencePiece settings."""
    corpus = [" ".join(WORDS), "[INST] <<SYS>> <</SYS>> [/INST]", "It is red. Yes, of course!"]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus * 30),
        model_prefix=str(path.with_suffix("")),
        vocab_size=vocabulary_size,
        **{**LLAMA2_SETTINGS, **changes},
    )
    return path


def make_llm(folder: Path, seed: int = 0, **overrides: object) -> Path:
    """A random Llama in Hugging Face format, its tokenizer beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Llama2Chat(make_llm_tokenizer(folder / "tokenizer.model"))
    settings = {
        "vocab_size": tokenizer.vocabulary_size,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.3,  # large: predictions that depend on what was read
    }
    torch.manual_seed(seed)
    LlamaForCausalLM(LlamaConfig(**{**settings, **overrides})).save_pretrained(folder)
    return folder


def make_vocabulary(path: Path) -> Path:
    """A CTC vocabulary of 30 pieces."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS)] * 20),
        model_prefix=str(path.with_suffix("")),
        vocab_size=30,
        hard_vocab_limit=False,
        model_type="unigram",
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    return path


def make_recording(path: Path, text: str, rng: np.random.Generator) -> int:
    """Words as tones of their own, half a second each, and noise; gives the number of frames."""
    seconds = np.arange(int(0.5 * 16_000)) / 16_000
    tones = [np.sin(2 * np.pi * (300 + 170 * WORDS.index(word)) * seconds) for word in text.split()]
    waveform = 0.3 * np.concatenate(tones) + 0.01 * rng.standard_normal(len(tones) * len(seconds))
    soundfile.write(path, waveform, 16_000)
    return num_frames(len(waveform))


def make_manifest(folder: Path, split: str, utterances: int, seed: int = 0) -> list[Utterance]:
    """Recordings of 2 to 4 random words, and their manifest."""
    rng = np.random.default_rng([seed, len(split), utterances])
    (folder / split).mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(utterances):
        text = " ".join(rng.choice(WORDS, size=rng.integers(2, 5)))
        audio = f"{split}/{index}.wav"
        n_frames = make_recording(folder / audio, text, rng)
        rows.append(Utterance(f"{split}-{index}", audio, n_frames, text, f"speaker{index % 2}"))
    write_manifest(folder / f"{split}.tsv", rows)
    return rows


def make_responses(folder: Path, split: str, rows: list[Utterance], llm: Path) -> None:
    """Random responses of 3 to 9 tokens; every third is cut by length."""
    template = load_template(llm)
    rng = np.random.default_rng(len(rows))
    header = ResponseHeader(load_llm(llm, torch.float32).fingerprint._asdict(), {"greedy": True})
    lines = [header.to_json()]
    for index, row in enumerate(rows):
        ids = rng.integers(3, template.vocabulary_size, size=rng.integers(3, 10)).tolist()
        ended = "length" if index % 3 == 2 else "eos"
        prompt = template.prompt(Conversation.of_text(row.text))
        lines.append(Response(row.id, prompt, ids, template.decode(ids), ended).to_json())
    (folder / f"{split}.responses.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_data(folder: Path, llm: Path, **splits: int) -> Path:
    """A whole data folder: manifests, recordings, vocabulary and responses."""
    folder.mkdir(parents=True, exist_ok=True)
    make_vocabulary(folder / "spm.model")
    for split, utterances in splits.items():
        make_responses(folder, split, make_manifest(folder, split, utterances), llm)
    return folder


def make_chat(
    data: Path, llm: Path, llm_shards: int = 1, **model: object
) -> tuple[AudioChatTask, AudioPrefixLlmModel]:
    """The task ``audio_chat`` and a small random model of it, in eval mode."""
    cfg = AudioChatConfig(data=str(data), llm=str(llm), seed=1, llm_shards=llm_shards)
    task = AudioChatTask(cfg)
    return task, make_model(task, **model)


def make_model(task: AudioChatTask, **model: object) -> AudioPrefixLlmModel:
    """A small random model of a task, in eval mode."""
    torch.manual_seed(0)
    return task.build_model(_model_config(**model)).eval()


def save_checkpoint(
    path: Path, task: AudioChatTask, model: AudioPrefixLlmModel, **settings: object
) -> Path:
    """A checkpoint as fairseq-train writes it, of a model that was made with these settings."""
    history = {"num_updates": 1, "lr_scheduler_state": {}, "criterion_name": "x"}
    task_config = {**asdict(task.cfg), "_name": "audio_chat", "update_freq": [1]}
    checkpoint = {
        "cfg": OmegaConf.create({"task": task_config, "model": _model_config(**settings)}),
        "model": model.state_dict(),
        "optimizer_history": [{**history, "optimizer_name": "adam", "best_loss": 1.0}],
        "extra_state": {"epoch": 1, "train_iterator": {"epoch": 1}},
    }
    torch.save(checkpoint, path)
    return path


def _model_config(**model: object) -> DictConfig:
    settings = {
        "_name": "audio_prefix_llm",
        "encoder_layers": 2,
        "encoder_width": 32,
        "encoder_ffn_width": 64,
        "encoder_heads": 4,
        "subsampling_channels": 8,
        **model,
    }
    return OmegaConf.create(asdict(AudioPrefixLlmConfig(**settings)))


def batch(task: AudioChatTask, split: str, indices: list[int]) -> dict[str, Any]:
    """A batch of a split's utterances."""
    if split not in task.datasets:
        task.load_dataset(split)
    dataset = task.dataset(split)
    return dataset.collater([dataset[index] for index in indices])
