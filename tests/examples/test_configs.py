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

CONFIGS = sorted((Path(__file__).parents[2] / "examples").glob("*/config/**/*.yaml"))
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


def base_of(path: Path) -> DictConfig:
    """What a file is laid over: ``config/gpus/chat_*.yaml`` over ``config/chat.yaml``."""
    if path.parent.name == "config":
        return OmegaConf.create()
    kind = path.stem.split("_")[0]
    return OmegaConf.load(min(path.parents[1].glob(f"{kind}*.yaml")))


def load(path: Path) -> DictConfig:
    """A file, with the names of the components that it leaves to its base."""
    config = OmegaConf.load(path)
    for group, settings in base_of(path).items():
        if group in config and "_name" in settings:
            config[group]["_name"] = settings["_name"]
    return config


def merge(config: Any) -> None:
    for group, settings in config.items():
        OmegaConf.merge(schema(group, settings.get("_name")), settings)


def test_the_miniature_has_configs() -> None:
    assert [path.name for path in CONFIGS if "mini" in path.parts] == ["chat.yaml", "ctc.yaml"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_every_key_is_an_option(path: Path) -> None:
    assert path.read_text().startswith("# @package _global_\n")
    merge(load(path))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_lists_only_what_differs_from_the_defaults(path: Path) -> None:
    base = base_of(path)
    for group, settings in load(path).items():
        defaults = schema(group, settings.get("_name"))
        for key in settings:
            if key in base.get(group, {}):
                assert key == "_name" or settings[key] != base[group][key], f"{group}.{key}"
                continue
            if key != "_name" and not OmegaConf.is_missing(settings, key):
                interpolated = OmegaConf.is_interpolation(defaults, key)
                assert interpolated or settings[key] != defaults[key], f"{group}.{key}"


def test_a_misspelt_key_is_found() -> None:
    """The merge above refuses what no dataclass has; a plain dictionary would not."""
    config = OmegaConf.load(CONFIGS[0])
    config.task.frequency_masks = 2
    with pytest.raises((ConfigKeyError, ValidationError), match="frequency_masks"):
        merge(config)
