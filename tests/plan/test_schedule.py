"""Updates, epochs and files, worked out by hand."""

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from fairseq_audiochat.data.batches import Batches
from fairseq_audiochat.plan.schedule import schedule

FRAMES = np.array([1000, 2000, 3000, 2000, 1000])
POSITIONS = np.array([10, 20, 30, 20, 10])
BATCHES = Batches(np.arange(5), np.array([0, 2, 3]), np.array([2, 3, 5]))


def config(**checkpoint: object) -> DictConfig:
    return OmegaConf.create(
        {
            "optimization": {"max_update": 100, "update_freq": [2]},
            "distributed_training": {"distributed_world_size": 2},
            "lr_scheduler": {"_name": "tri_stage", "warmup_steps": 5, "phase_ratio": None},
            "checkpoint": {
                "no_last_checkpoints": False,
                "no_epoch_checkpoints": True,
                "keep_best_checkpoints": -1,
                "keep_last_epochs": -1,
                "save_interval": 1,
                "save_interval_updates": 0,
                "keep_interval_updates": -1,
                **checkpoint,
            },
        }
    )


def test_updates_and_epochs():
    """6,000 utterances in 3,000 batches on 2 GPUs: 1,500 each, 750 updates of 2."""
    made = schedule(config(), BATCHES, FRAMES, POSITIONS, scale=1000.0)
    assert made.batches_per_update == 4
    assert made.updates_per_epoch == 750
    assert made.epochs == pytest.approx(100 / 750)
    assert made.warmup == 5
    assert made.per_update(made.utterances) == pytest.approx(5 / 3 * 4)
    assert made.per_update(made.seconds) == pytest.approx(90 / 3 * 4)  # 9,000 frames of 10 ms
    assert made.per_update(made.positions) == pytest.approx(90 / 3 * 4)


def test_an_epoch_ends_with_an_update_that_is_not_full():
    """3 batches on 2 GPUs: 2 for each, one of them empty; one update of 2."""
    assert schedule(config(), BATCHES, FRAMES, POSITIONS, scale=1.0).updates_per_epoch == 1


def test_a_share_of_the_updates_warms_up():
    cfg = config()
    cfg.lr_scheduler.phase_ratio = [0.15, 0.35, 0.5]
    assert schedule(cfg, BATCHES, FRAMES, POSITIONS, 1.0).warmup == 15


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ({}, 2),  # the last and the best
        ({"no_last_checkpoints": True}, 1),
        ({"save_interval_updates": 20}, 2 + 5),
        ({"save_interval_updates": 20, "keep_interval_updates": 3}, 2 + 3),
        ({"no_epoch_checkpoints": False}, 2 + 100),  # an update per epoch
        ({"no_epoch_checkpoints": False, "keep_last_epochs": 4, "keep_best_checkpoints": 2}, 8),
    ],
)
def test_checkpoints(options: dict[str, object], files: int):
    made = schedule(config(**options), BATCHES, FRAMES, POSITIONS, scale=1.0)
    assert made.checkpoints == files
