"""What a plan predicts against what a training update takes, in a process of its own.

    python benchmarks/plan.py                      # writes an LLM of 2.2 GB for a while
    python benchmarks/plan.py --cases mini_ctc mini_chat

The update is fairseq's trainer's, on the largest batch of a made-up training set, twice, so that
the optimiser's states are there. Measured is the peak above the loaded model: of what torch's
allocator hands out, and of the process where glibc returns what is freed; for a small model the
latter is mostly what glibc keeps of small pieces. `mini` is examples/mini; `1b` is
examples/mls_llama2 with a random LLM of 1.1B parameters in bfloat16, 4 encoder layers and 2 short
utterances.
"""

import argparse
import logging
import tempfile
import warnings
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import llm_memory
import numpy as np
import side_by_side
import soundfile
import torch
from fairseq.trainer import Trainer
from omegaconf import DictConfig
from sentencepiece import SentencePieceTrainer

from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.fbank import num_frames
from fairseq_audiochat.data.manifest import Utterance, write_manifest
from fairseq_audiochat.data.response_record import Response, ResponseHeader
from fairseq_audiochat.data.template_loading import load_template
from fairseq_audiochat.data.tokenizer_files import tokenizer_digest
from fairseq_audiochat.modules.llm_fingerprint import read_fingerprint
from fairseq_audiochat.modules.llm_loading import read_llm_config
from fairseq_audiochat.plan.assumptions import Assumptions
from fairseq_audiochat.plan.configuration import from_hydra
from fairseq_audiochat.plan.planned_tasks import resolve_encoder, training_batches
from fairseq_audiochat.plan.training_plan import plan
from fairseq_audiochat.tasks.audio_chat import AudioChatTask
from fairseq_audiochat.tasks.audio_ctc import AudioCtcTask

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
MINI_LLM = EXAMPLES / "mini/llm"
WORDS = "what is the capital of france tell me more please".split()
TASKS = {"audio_ctc": AudioCtcTask, "audio_chat": AudioChatTask}


class Case(NamedTuple):
    """A training: a file of ``examples``, overrides, and what is read."""

    config: str
    overrides: list[str]
    utterances: int
    seconds: tuple[float, float]


_ENCODER = [
    *("+model.encoder_layers=5", "+model.encoder_width=144", "+model.encoder_ffn_width=576"),
    *("+model.encoder_heads=4", "+model.subsampling_channels=32"),
]
_LARGE = ["++model.encoder_layers=4", "distributed_training.distributed_world_size=1"]
_LARGE += ["optimization.update_freq=[2]", "+model.checkpoint_activations=false"]
_MINI_CTC = Case("mini/config/ctc", ["dataset.train_subset=train"], 24, (1.0, 2.5))
_MINI_CHAT = Case("mini/config/chat", _ENCODER, 24, (1.0, 2.5))
_1B = Case("mls_llama2/config/chat", _LARGE, 2, (3.0, 4.0))
_CHECKPOINTED = "++model.checkpoint_activations=true"
CASES = {
    "mini_ctc": _MINI_CTC,
    "mini_ctc_checkpointed": _MINI_CTC._replace(overrides=[*_MINI_CTC.overrides, _CHECKPOINTED]),
    "mini_chat": _MINI_CHAT,
    "mini_chat_checkpointed": _MINI_CHAT._replace(overrides=[*_ENCODER, _CHECKPOINTED]),
    "1b_chat": _1B,
    "1b_chat_checkpointed": _1B._replace(overrides=[*_LARGE[:-1], _CHECKPOINTED]),
}


def write_data(folder: Path, case: Case, llm: Path) -> None:
    """Noise, a vocabulary, and random responses of 10 to 40 tokens."""
    rng = np.random.default_rng(1)
    template = load_template(llm)
    (folder / "train").mkdir(parents=True)
    digests = read_fingerprint(llm, read_llm_config(llm), tokenizer_digest(llm))
    assert digests is not None  # it was written with safetensors
    rows, lines = [], [ResponseHeader(digests._asdict(), {"greedy": True}).to_json()]
    for index, seconds in enumerate(np.linspace(*case.seconds, case.utterances)):
        samples = rng.uniform(-0.5, 0.5, int(seconds * 16_000))
        soundfile.write(folder / f"train/{index}.wav", samples, 16_000)
        text = " ".join(rng.choice(WORDS, size=4))
        name = f"utterance-{index}"
        rows.append(Utterance(name, f"train/{index}.wav", num_frames(len(samples)), text))
        ids = rng.integers(3, template.vocabulary_size, size=rng.integers(10, 40)).tolist()
        prompt = template.prompt(Conversation.of_text(text))
        lines.append(Response(name, prompt, ids, template.decode(ids), "eos").to_json())
    write_manifest(folder / "train.tsv", rows)
    (folder / "train.responses.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS)] * 20),
        model_prefix=str(folder / "spm"),
        vocab_size=30,
        hard_vocab_limit=False,
        minloglevel=2,
    )


def config(name: str, data: Path, llm: Path) -> DictConfig:
    """A case's configuration."""
    case = CASES[name]
    path = EXAMPLES / case.config
    overrides = [*case.overrides, f"task.data={data}", "common.cpu=true"]
    overrides += ["optimization.max_update=1000"]
    overrides += [f"task.llm={llm}"] if path.name == "chat" else []
    return from_hydra(path.parent, path.name, overrides)


def measured(cfg: DictConfig, how: str) -> float:
    """Megabytes of two updates above the loaded model, by one of `MEASURES`."""
    task: Any = TASKS[cfg.task._name](cfg.task)
    resolve_encoder(cfg.model)
    model = task.build_model(cfg.model)
    task.load_dataset("train", data_selector=None)
    dataset = task.dataset("train")
    batches = training_batches(task, dataset, cfg)
    largest = max(batches, key=lambda batch: len(batch) * int(dataset.sizes[batch].max()))
    train(cfg, task, task.build_model(cfg.model), [int(dataset.sizes.argmin())])
    return MEASURES[how](lambda: train(cfg, task, model, largest))


def allocated_megabytes(run: Callable[[], object]) -> float:
    """The peak of what torch's allocator hands out, kernels' scratch memory among it."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        run()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events)) / 2**20


MEASURES = {"allocator": allocated_megabytes, "process": side_by_side.peak_megabytes}


def train(cfg: DictConfig, task: Any, model: Any, batch: list[int]) -> None:
    """Two updates with one batch; the first ones of a process wake libraries up."""
    dataset = task.dataset("train")
    sample = dataset.collater([dataset[index] for index in batch])
    trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
    trainer.begin_epoch(1)
    for _ in range(2):
        trainer.train_step([sample] * cfg.optimization.update_freq[0])


def predicted(cfg: DictConfig) -> tuple[float, float]:
    """Megabytes of a plan, above the weights and of the weights."""
    made = plan(cfg, Assumptions())
    memory = made.memory[made.is_checkpointed]
    weights = sum(memory.weights.values())
    return (memory.peak - weights) / 2**20, weights / 2**20


def show(name: str, data: Path, llm: Path) -> None:
    """Print a line of the table."""
    above, weights = predicted(config(name, data, llm))
    cells = [name, f"{weights:.0f}", f"{above:.0f}"]
    for how in MEASURES:
        peak = side_by_side.peak_in_own_process(name, data, llm, how)
        cells += [f"{peak:.0f}", f"{(above - peak) / peak:+.1%}"]
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--memory-of", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if args.memory_of:
        name, data, llm, how = args.memory_of
        print(measured(config(name, Path(data), Path(llm)), how))
        return
    print("| | weights MB | predicted above MB | allocator MB | | process MB | |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        llm = Path(temporary) / "llm"
        if any(name.startswith("1b") for name in args.cases):
            llm.mkdir()
            llm_memory.write_hugging_face_format(llm, llm_memory.SIZES["1b"], files=1)
            llm_memory.write_tokenizer(llm)
        for name in args.cases:
            chosen = llm if name.startswith("1b") else MINI_LLM
            data = Path(temporary) / name
            write_data(data, CASES[name], chosen)
            show(name, data, chosen)


if __name__ == "__main__":
    main()
