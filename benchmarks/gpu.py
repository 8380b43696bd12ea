"""The paper's size on one GPU, in one command: updates against the plan, search against its floor.

    python benchmarks/gpu.py                        # 36 encoder layers, Llama-2's 7B architecture
    python benchmarks/gpu.py --tiny --device cpu    # does it run?

The LLM has random weights, made on the device; nothing is downloaded. An update is fairseq's
trainer's with the settings of examples/mls_llama2 for one of the 64 GPUs: 8 times 2 utterances,
with lengths as assumed for MLS, noise and random tokens, the longest batch first. Search: 10 beams
behind 4 prompts of 300 positions, ours and transformers' `generate` in turns. Its floor is the time
to read from memory, at --bandwidth, what a step must read once: the weights but the embeddings, the
prompts' keys and values, and half of what the beams' are at the end.
"""

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import decoding
import llm_memory
import numpy as np
import side_by_side
import torch
from fairseq.trainer import Trainer
from omegaconf import DictConfig
from random_llm import SIZES, make_frozen_llm
from transformers import LlamaConfig

from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.plan.assumptions import Assumptions
from fairseq_audiochat.plan.configuration import from_hydra
from fairseq_audiochat.plan.planned_tasks import PlannedChat, planned_task, training_batches
from fairseq_audiochat.plan.training_plan import plan
from fairseq_audiochat.tasks.audio_chat import AudioChatTask

CONFIGS = Path(__file__).parents[1] / "examples/mls_llama2/config"
TINY_ENCODER = {"encoder_layers": 2, "encoder_width": 32, "encoder_ffn_width": 64}
TINY_ENCODER |= {"encoder_heads": 2, "subsampling_channels": 4}


class RandomChat(AudioChatTask):
    """The task ``audio_chat`` with a random LLM, made on the device."""

    args: argparse.Namespace

    def load_llm(self) -> FrozenLlm:
        """The random LLM."""
        if self._llm is None:
            self._llm = make_frozen_llm(self.args.model, self.args.device, self.args.dtype)
        return self._llm


def config(llm: Path, args: argparse.Namespace) -> DictConfig:
    """``chat.yaml`` for one of its GPUs."""
    encoder = TINY_ENCODER if args.tiny else {"encoder_layers": 36}
    checkpointed = str(args.checkpoint_activations).lower()
    overrides = [f"+model.{name}={value}" for name, value in encoder.items()]
    overrides += [f"+model.checkpoint_activations={checkpointed}", f"task.llm={llm}"]
    overrides += [f"task.llm_dtype={args.dtype}", "distributed_training.distributed_world_size=1"]
    overrides += [f"common.cpu={str(args.device == 'cpu').lower()}"]
    return from_hydra(CONFIGS, "chat", overrides)


def assumptions(args: argparse.Namespace) -> Assumptions:
    """MLS, or for a tiny run utterances of about a second."""
    return Assumptions(64, 64 / 3600, 0.5, 1.6) if args.tiny else Assumptions()


def make_updates(cfg: DictConfig, args: argparse.Namespace) -> list[list[Any]]:
    """Random batches, the largest first: for each update as many as it accumulates."""
    planned = planned_task(cfg)
    assert isinstance(planned, PlannedChat)
    dataset = planned.assumed_dataset(assumptions(args))
    batches = training_batches(planned, dataset, cfg)
    rng = np.random.default_rng(args.seed)
    accumulations = cfg.optimization.update_freq[0]
    chosen = [0, *rng.integers(len(batches), size=args.updates * accumulations - 1)]
    samples = [planned.batch(dataset, batches[index], assumptions(args)) for index in chosen]
    vocabulary_size = SIZES[args.model].vocab_size
    torch.manual_seed(args.seed)
    for sample in samples:
        sample["net_input"]["features"].normal_()
        is_token = sample["target"] != planned.target_dictionary.pad()
        sample["target"][is_token] = torch.randint(3, vocabulary_size, (int(is_token.sum()),))
    return [samples[i : i + accumulations] for i in range(0, len(samples), accumulations)]


def measure_training(llm: Path, args: argparse.Namespace) -> None:
    """Print memory and time of updates, and what was planned."""
    cfg = config(llm, args)
    updates = make_updates(cfg, args)
    made = plan(config(llm, args), assumptions(args))
    memory = made.memory[args.checkpoint_activations]
    task = RandomChat(cfg.task)
    task.args = args
    model = task.build_model(cfg.model).to(args.device)
    trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
    trainer.begin_epoch(1)
    seconds: list[float] = []

    def run() -> None:
        steps = (partial(trainer.train_step, samples) for samples in updates)
        seconds.extend(timed(step, args.device) for step in steps)

    peak = side_by_side.peak_megabytes(run, args.device)
    weights = sum(memory.weights.values()) / 2**20
    planned = memory.peak / 2**20 - weights
    print(
        f"training: {len(updates)} updates of {len(updates[0])} batches, median "
        f"{np.median(seconds[1:]):.3f} s, first {seconds[0]:.3f} s\n"
        f"memory: weights {weights:.0f} MB; above them planned {planned:.0f} MB, measured "
        f"{peak:.0f} MB ({(planned - peak) / peak:+.1%})",
        flush=True,
    )


def timed(run: Callable[[], object], device: str) -> float:
    """Seconds until the device has finished."""
    start = time.perf_counter()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.no_grad()
def measure_decoding(args: argparse.Namespace) -> None:
    """Print the time of a step of both searches, and the floor."""
    utterances, positions = args.setting
    prompts = decoding.make_prompts(utterances, positions, args)
    runs = {name: partial(make(args), prompts) for name, make in decoding.MAKERS.items()}
    seconds, found = side_by_side.in_turns(runs, args.repeats, args.device)
    equal = sum(len(a & b) for a, b in zip(found["ours"], found["transformers"]))
    floor = step_bytes(SIZES[args.model], args) / args.bandwidth / 1e12
    print(f"search: B{utterances} P{positions}, {args.beams} beams, {args.tokens} new tokens")
    for name, total in (*seconds.items(), ("the floor", floor * args.tokens)):
        tokens = utterances * args.tokens / total
        print(f"  {name}: {1000 * total / args.tokens:.3f} ms per step, {tokens:.0f} tokens/s")
    print(f"  ratio {seconds['transformers'] / seconds['ours']:.2f}; ours is", end=" ")
    print(f"{seconds['ours'] / args.tokens / floor:.1f} times the floor; {equal} hypotheses equal")


def step_bytes(config: LlamaConfig, args: argparse.Namespace) -> float:
    """What a step of the search must read once."""
    width, layers = config.hidden_size, config.num_hidden_layers
    element = getattr(torch, args.dtype).itemsize
    keys = width * config.num_key_value_heads // config.num_attention_heads
    layer = 2 * width * (width + keys) + 3 * width * config.intermediate_size + 2 * width
    weights = layers * layer + config.vocab_size * width + width
    utterances, prompt = args.setting
    positions = utterances * (prompt + args.beams * args.tokens / 2)
    return float(element * (weights + positions * layers * 2 * keys))


def parser() -> argparse.ArgumentParser:
    """The options; the defaults are the paper's size."""
    made = side_by_side.parser(__doc__ or "")
    made.add_argument("--tiny", action="store_true", help="a run of seconds, on any machine")
    made.add_argument("--updates", type=int, default=20)
    made.add_argument("--checkpoint-activations", action="store_true")
    made.add_argument("--beams", type=int, default=10)
    made.add_argument("--tokens", type=int, default=64, help="new tokens")
    made.add_argument("--setting", type=int, nargs=2, default=(4, 300), metavar=("B", "P"))
    made.add_argument("--bandwidth", type=float, default=4.8, help="TB/s (default 4.8, an H200's)")
    made.add_argument("--seed", type=int, default=1)
    made.set_defaults(model="7b", device="cuda", dtype="bfloat16", repeats=3)
    return made


def main() -> None:
    """Print all of it."""
    args = parser().parse_args()
    if args.tiny:
        args.model, args.updates, args.tokens, args.setting, args.repeats = "xs", 2, 8, (2, 12), 1
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    side_by_side.announce(args)
    with tempfile.TemporaryDirectory() as temporary:
        llm = Path(temporary)
        SIZES[args.model].save_pretrained(llm)
        llm_memory.write_tokenizer(llm)
        measure_training(llm, args)
    if args.device != "cpu":
        torch.cuda.empty_cache()
    measure_decoding(args)


if __name__ == "__main__":
    main()
