"""From a training's configuration to its plan. Starts nothing, loads no weights."""

from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig

from fairseq_audiochat.data.batches import Batches, Indices
from fairseq_audiochat.data.speech_dataset import SpeechDataset
from fairseq_audiochat.plan import memory
from fairseq_audiochat.plan.assumptions import Assumptions
from fairseq_audiochat.plan.memory import Memory
from fairseq_audiochat.plan.planned_tasks import (
    PlannedChat,
    PlannedTask,
    missing_file,
    planned_task,
    resolve_encoder,
    training_batches,
)
from fairseq_audiochat.plan.schedule import Schedule, schedule

_PLANNED_WITHOUT = (
    ("model", "encoder_dtype", "float32"),
    ("task", "llm_quantisation", "none"),
    ("task", "llm_shards", 1),
)


class TrainingPlan(NamedTuple):
    """What a training will need.

    Args:
        schedule: Updates and epochs.
        positions_are: What the schedule's positions are.
        memory: Of one GPU, by whether activations are checkpointed.
        is_checkpointed: Whether the training checkpoints them.
        notes: What was assumed.
    """

    schedule: Schedule
    positions_are: str
    memory: dict[bool, Memory]
    is_checkpointed: bool
    notes: list[str]


def plan(cfg: DictConfig, assumed: Assumptions) -> TrainingPlan:
    """Work out what a training will need.

    Raises:
        ValueError: If its task is none of ours, or it trains in half precision as fairseq does.
        FileNotFoundError: If a file that it names is missing.
    """
    _refuse_half_precision(cfg)
    bounds = _upper_bounds(cfg)
    task = planned_task(cfg)
    notes = [resolve_encoder(cfg.model), *bounds]
    model = memory.build(task, cfg)
    dataset, scale, note = _training_set(task, cfg, assumed)
    batches = training_batches(task, dataset, cfg)
    positions = task.positions(dataset, model)
    is_checkpointed = bool(cfg.model.checkpoint_activations)
    largest = _largest(batches, dataset.sizes, positions)
    return TrainingPlan(
        schedule(cfg, batches, dataset.sizes, positions, scale),
        "LLM positions" if isinstance(task, PlannedChat) else "frames of 80 ms",
        {
            checkpointed: _most_memory(task, cfg, dataset, largest, assumed, checkpointed)
            for checkpointed in (False, True)
        },
        is_checkpointed,
        [text for text in (*notes, note) if text],
    )


def _training_set(
    task: PlannedTask, cfg: DictConfig, assumed: Assumptions
) -> tuple[SpeechDataset, float, str]:
    """The training set, how many utterances each of it stands for, and a note if it is assumed."""
    split = str(cfg.dataset.train_subset)
    missing = missing_file(task, split)
    if missing is None:
        task.load_dataset(split, data_selector=None)  # as fairseq's trainer does
        return task.dataset(split), 1.0, ""
    dataset = task.assumed_dataset(assumed)
    return dataset, assumed.utterances / len(dataset), f"{missing} is not there: assumed {assumed}"


def _largest(batches: Batches, frames: Indices, positions: Indices) -> list[list[int]]:
    """The batches that may need most: by padded frames, and by positions."""
    members = np.asarray(batches.stops, dtype=np.int64) - batches.starts
    costs = (
        members * np.maximum.reduceat(frames[batches.indices], batches.starts),
        np.add.reduceat(positions[batches.indices], batches.starts, dtype=np.int64),
    )
    return [batches[index] for index in sorted({int(np.argmax(cost)) for cost in costs})]


def _most_memory(
    task: PlannedTask,
    cfg: DictConfig,
    dataset: Any,
    largest: list[list[int]],
    assumed: Assumptions,
    checkpointed: bool,
) -> Memory:
    cfg.model.checkpoint_activations = checkpointed
    device = torch.device("cpu" if cfg.common.cpu else "cuda")
    samples = (task.batch(dataset, indices, assumed) for indices in largest)
    return max(
        (memory.of_update(task, cfg, sample, device) for sample in samples),
        key=lambda used: used.total,
    )


def _upper_bounds(cfg: DictConfig) -> list[str]:
    """Plan without what sizes alone cannot show (autocast, 8 bits, shards); gives notes."""
    notes = []
    for group, name, plain in _PLANNED_WITHOUT:
        value = cfg[group].get(name, plain)
        if value != plain:
            cfg[group][name] = plain
            notes.append(
                f"{group}.{name} is planned as {plain}, which is an upper bound of what {value} "
                "needs"
            )
    return notes


def _refuse_half_precision(cfg: DictConfig) -> None:
    for name in ("fp16", "bf16", "amp"):
        if cfg.common.get(name):
            raise ValueError(
                f"common.{name} must be off in a plan, but is on: fairseq then keeps weights "
                "twice, which is not counted; plan without it for an upper bound."
            )
