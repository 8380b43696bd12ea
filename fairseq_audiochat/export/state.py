"""An exported model as the state that fairseq loads models from.

The configuration is fairseq's own defaults but for what decides what the model computes; there is
no optimizer, so that a training can start from it (``--finetune-from-model``) and not resume it.
"""

from typing import Any

import torch
from fairseq.dataclass.configs import FairseqConfig
from omegaconf import OmegaConf, open_dict

from fairseq_audiochat.export.architecture import FINGERPRINT, Architecture, architecture_called
from fairseq_audiochat.export.folder import Exported
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint


def to_state(exported: Exported) -> dict[str, Any]:
    """The state, as ``torch.save`` writes it and ``load_checkpoint_to_cpu`` reads it."""
    description = exported.description
    architecture = architecture_called(description.architecture)
    assert architecture is not None  # read_folder refuses others
    model, task_state = dict(exported.tensors), {}
    if description.llm is not None:
        digests = LlmFingerprint(**description.llm["fingerprint"])
        model[FINGERPRINT] = digests.to_tensor()
        task_state["chat_template"] = description.llm["chat_template"]
    if exported.vocabulary is not None:
        pieces = torch.frombuffer(bytearray(exported.vocabulary), dtype=torch.uint8)
        task_state["vocabulary"] = pieces
    history = {
        "criterion_name": "",
        "optimizer_name": "",
        "lr_scheduler_state": {},
        "num_updates": description.origin["updates"],
    }
    return {
        "args": None,
        "cfg": _configuration(exported, architecture),
        "model": model,
        "criterion": None,
        "optimizer_history": [history],
        "task_state": task_state,
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}},
        "last_optimizer_state": None,
    }


def _configuration(exported: Exported, architecture: Architecture) -> dict[str, Any]:
    """A whole configuration: fairseq-validate overwrites only what is there."""
    description = exported.description
    root = OmegaConf.structured(FairseqConfig())
    with open_dict(root):
        root.task = architecture.task_config(description.task)
        root.model = architecture.model_config(description.model)
        root.criterion = {"_name": architecture.criterion}
        root.task._name, root.model._name = architecture.task, architecture.name
    root.task.data = "."
    if description.llm is not None:
        root.task.llm = description.llm["name"]  # so that an error without --llm names it
    configuration: Any = OmegaConf.to_container(root, resolve=True, enum_to_str=True)
    return dict(configuration)
