"""What an update reads, how many updates an epoch has, and what stays on the disk.

Plain arithmetic on lengths and options; knows no model.
"""

import math
from dataclasses import dataclass

from omegaconf import DictConfig

from fairseq_audiochat.data.batches import Batches, Indices
from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND


@dataclass(frozen=True)
class Schedule:
    """A training in numbers; an update is over all GPUs and accumulations.

    Args:
        gpus: Processes.
        accumulations: Batches of each GPU per update.
        batches: In an epoch, for all GPUs.
        utterances: In an epoch.
        seconds: Of audio in an epoch.
        positions: In an epoch.
        max_update: Updates of the training; 0 if only epochs bound it.
        warmup: Updates until the learning rate is at its peak.
        checkpoints: Files that are there at the end.
    """

    gpus: int
    accumulations: int
    batches: float
    utterances: float
    seconds: float
    positions: float
    max_update: int
    warmup: int
    checkpoints: int

    @property
    def batches_per_update(self) -> int:
        """Of all GPUs."""
        return self.gpus * self.accumulations

    @property
    def updates_per_epoch(self) -> int:
        """The last one of an epoch may be smaller than the others."""
        return math.ceil(math.ceil(self.batches / self.gpus) / self.accumulations)

    @property
    def epochs(self) -> float:
        """In `max_update` updates."""
        return self.max_update / self.updates_per_epoch

    def per_update(self, total: float) -> float:
        """From what an epoch has to what an update has on average."""
        return total / self.batches * self.batches_per_update


def schedule(
    cfg: DictConfig, batches: Batches, frames: Indices, positions: Indices, scale: float
) -> Schedule:
    """Work out a training's numbers.

    Args:
        cfg: Its configuration.
        batches: Of an epoch, one behind the other.
        frames: 10 ms frames of each utterance.
        positions: Of each utterance.
        scale: How many utterances each one stands for.
    """
    used = batches.indices
    max_update = int(cfg.optimization.max_update)
    scheduler = cfg.lr_scheduler or {}
    ratio = scheduler.get("phase_ratio")
    warmup = max_update * ratio[0] if ratio else scheduler.get("warmup_steps") or 0
    made = Schedule(
        gpus=int(cfg.distributed_training.distributed_world_size),
        accumulations=int(cfg.optimization.update_freq[-1]),
        batches=len(batches) * scale,
        utterances=len(used) * scale,
        seconds=float(frames[used].sum()) / FRAMES_PER_SECOND * scale,
        positions=float(positions[used].sum()) * scale,
        max_update=max_update,
        warmup=int(warmup),
        checkpoints=0,
    )
    return Schedule(**{**made.__dict__, "checkpoints": _checkpoints(cfg, made)})


def _checkpoints(cfg: DictConfig, made: Schedule) -> int:
    """Files that fairseq keeps: the last, the best ones, and those by epoch and by updates."""
    options = cfg.checkpoint
    files = int(not options.no_last_checkpoints) + max(0, options.keep_best_checkpoints)
    files += int(not options.get("no_best_checkpoints", False))
    if not options.no_epoch_checkpoints:
        epochs = math.ceil(made.epochs / options.save_interval)
        files += _at_most(epochs, options.keep_last_epochs)
    if options.save_interval_updates:
        updates = made.max_update // options.save_interval_updates
        files += _at_most(updates, options.keep_interval_updates)
    return files


def _at_most(files: int, kept: int) -> int:
    """``kept`` is -1 where all are."""
    return files if kept < 0 else min(files, kept)
