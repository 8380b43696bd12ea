"""The two kinds of model that can be exported: their configs, their tasks, their tensors.

Knows no file. A model's tensors are counted on a skeleton, without memory and without an LLM.
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
from fairseq.tasks import TASK_DATACLASS_REGISTRY
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from fairseq_audiochat.models.audio_prefix_llm import AudioPrefixLlmConfig
from fairseq_audiochat.models.conformer_ctc import (
    ConformerConfig,
    ConformerCtcConfig,
    build_encoder,
)
from fairseq_audiochat.modules.audio_adapter import AudioAdapter

FINGERPRINT = "llm_version"
"""A tensor of the model that ``config.json`` holds in words."""
_ENCODER_FIELDS = tuple(item.name for item in fields(ConformerConfig) if item.name != "_name")


@dataclass(frozen=True)
class Architecture:
    """One kind of model.

    Args:
        name: As it is registered.
        config: Its config class.
        model_fields: The fields of it that decide what the model computes.
        task: The task that it belongs to.
        task_fields: The fields of the task's config that decide it.
        criterion: The criterion that fairseq-validate scores it with.
    """

    name: str
    config: type[ConformerConfig]
    model_fields: tuple[str, ...]
    task: str
    task_fields: tuple[str, ...]
    criterion: str

    def model_values(self, stored: dict[str, Any]) -> dict[str, Any]:
        """The fields of a checkpoint's model config that decide what it computes.

        A field that came after the checkpoint has its default, as when fairseq loads it.
        """
        return {name: stored.get(name, getattr(self.config(), name)) for name in self.model_fields}

    def task_values(self, stored: dict[str, Any]) -> dict[str, Any]:
        """The same of its task config."""
        defaults = TASK_DATACLASS_REGISTRY[self.task]()
        return {name: stored.get(name, getattr(defaults, name)) for name in self.task_fields}

    def model_config(self, values: dict[str, Any]) -> Any:
        """The model's config with these values; see `_checked`."""
        return _checked("model", self.config(), self.model_fields, values)

    def task_config(self, values: dict[str, Any]) -> Any:
        """The task's config with these values; see `_checked`."""
        return _checked("task", TASK_DATACLASS_REGISTRY[self.task](), self.task_fields, values)


def _checked(section: str, defaults: Any, names: tuple[str, ...], values: dict[str, Any]) -> Any:
    """A config with the values of a section of ``config.json``.

    Raises:
        ValueError: If a field is missing, is not known, or has a value that it cannot have.
    """
    if set(values) != set(names):
        raise ValueError(
            f"{section!r} must have the fields {', '.join(sorted(names)) or '(none)'}, but has "
            f"{', '.join(sorted(values)) or '(none)'}"
        )
    try:
        return OmegaConf.merge(OmegaConf.structured(defaults), values)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{section!r} must have values that fit, but: {reason}") from error


CTC = Architecture(
    name="conformer_ctc",
    config=ConformerCtcConfig,
    model_fields=(*_ENCODER_FIELDS, "encoder_dtype"),
    task="audio_ctc",
    task_fields=(),
    criterion="audio_ctc",
)
CHAT = Architecture(
    name="audio_prefix_llm",
    config=AudioPrefixLlmConfig,
    model_fields=(*_ENCODER_FIELDS, "encoder_dtype", "stack_frames"),
    task="audio_chat",
    task_fields=("llm_dtype", "llm_quantisation"),
    criterion="response_distillation",
)
_ARCHITECTURES = (CTC, CHAT)


def architecture_called(name: str) -> Architecture | None:
    """The architecture of that name, or the one that it is a size of (``conformer_ctc_18l``)."""
    return next((one for one in _ARCHITECTURES if name.startswith(one.name)), None)


def expected_tensors(
    cfg: Any, vocabulary_size: int | None, llm_width: int | None
) -> dict[str, Tensor]:
    """The tensors of a model, with shapes and without numbers.

    Args:
        cfg: The model's config.
        vocabulary_size: Classes of the CTC head, the blank among them.
        llm_width: D, of what has an adapter instead.
    """
    with torch.device("meta"):
        audio_encoder = build_encoder(cfg)
        if vocabulary_size is not None:
            head = nn.Linear(audio_encoder.width, vocabulary_size)
            return _named({"encoder": audio_encoder, "head": head})
        adapter = AudioAdapter(audio_encoder.width, cfg.stack_frames, llm_width or 0, 1.0)
        return _named({"encoder.audio_encoder": audio_encoder, "encoder.adapter": adapter})


def _named(modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{prefix}.{name}": tensor
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
