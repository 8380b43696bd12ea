"""Every YAML of the examples, against the dataclasses that it configures."""

from pathlib import Path
from typing import Any

import pytest
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY
from fairseq.dataclass.configs import FairseqConfig
from fairseq.models import MODEL_DATACLASS_REGISTRY
from fairseq.optim import OPTIMIZER_DATACLASS_REGISTRY
from fairseq.optim.lr_scheduler import LR_SCHEDULER_DATACLASS_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, ValidationError

import fairseq_audiochat  # noqa: F401  registers

CONFIGS = sorted((Path(__file__).parents[2] / "examples").glob("*/config/*.yaml"))
REGISTRIES = {
    "task": TASK_DATACLASS_REGISTRY,
    "model": MODEL_DATACLASS_REGISTRY,
    "criterion": CRITERION_DATACLASS_REGISTRY,
    "optimizer": OPTIMIZER_DATACLASS_REGISTRY,
    "lr_scheduler": LR_SCHEDULER_DATACLASS_REGISTRY,
}


def schema(group: str, name: str | None) -> DictConfig:
    """What a group of a config may hold."""
    if group in REGISTRIES:
        return OmegaConf.structured(REGISTRIES[group][name])
    return OmegaConf.structured(getattr(FairseqConfig(), group))


def merge(config: Any) -> None:
    for group, settings in config.items():
        OmegaConf.merge(schema(group, settings.get("_name")), settings)


def test_the_miniature_has_configs() -> None:
    assert [path.name for path in CONFIGS if "mini" in path.parts] == ["chat.yaml", "ctc.yaml"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_every_key_is_an_option(path: Path) -> None:
    assert path.read_text().startswith("# @package _global_\n")
    merge(OmegaConf.load(path))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_lists_only_what_differs_from_the_defaults(path: Path) -> None:
    for group, settings in OmegaConf.load(path).items():
        defaults = schema(group, settings.get("_name"))
        for key in settings:
            if key != "_name" and not OmegaConf.is_missing(settings, key):
                interpolated = OmegaConf.is_interpolation(defaults, key)
                assert interpolated or settings[key] != defaults[key], f"{group}.{key}"


def test_a_misspelt_key_is_found() -> None:
    """The merge above refuses what no dataclass has; a plain dictionary would not."""
    config = OmegaConf.load(CONFIGS[0])
    config.task.frequency_masks = 2
    with pytest.raises((ConfigKeyError, ValidationError), match="frequency_masks"):
        merge(config)
