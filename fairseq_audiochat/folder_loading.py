"""An exported folder can be given wherever fairseq reads a checkpoint.

Importing the package puts `load_checkpoint_to_cpu` in the place of fairseq's, through which
fairseq-validate, fairseq-generate, ``load_model_ensemble_and_task`` and our own code read
checkpoints: of a folder it makes the state that the checkpoint would give. Training resumes from
files alone, and would begin anew without a word; `load_checkpoint` refuses a folder there. Knows
nothing of what a folder holds.
"""

import logging
from pathlib import Path
from typing import Any

from fairseq import checkpoint_utils
from fairseq.dataclass.utils import overwrite_args_by_name
from omegaconf import OmegaConf

from fairseq_audiochat.export.folder import read_folder
from fairseq_audiochat.export.state import to_state

logger = logging.getLogger(__name__)

_fairseq_load_to_cpu = checkpoint_utils.load_checkpoint_to_cpu
_fairseq_load = checkpoint_utils.load_checkpoint


def load_checkpoint_to_cpu(
    path: str, arg_overrides: "dict[str, Any] | None" = None, load_on_all_ranks: bool = False
) -> "dict[str, Any]":
    """Read a checkpoint, in the place of fairseq's function of that name.

    Args:
        path: A checkpoint's file, or the folder of an exported model.
        arg_overrides: Settings that replace those of the checkpoint, by name.
        load_on_all_ranks: fairseq's.

    Raises:
        FileNotFoundError: If a folder is no exported model.
        ValueError: If a file in it is broken.
    """
    if not Path(path).is_dir():
        state: dict[str, Any] = _fairseq_load_to_cpu(path, arg_overrides, load_on_all_ranks)
        return state
    exported = read_folder(Path(path))
    description = exported.description
    belongs = "" if description.llm is None else f" for the LLM {description.llm['name']!r}"
    logger.info("%s: exported %s%s", path, description.architecture, belongs)
    state = to_state(exported)
    state["cfg"] = OmegaConf.create(state["cfg"], flags={"allow_objects": True})
    if arg_overrides is not None:
        overwrite_args_by_name(state["cfg"], arg_overrides)
    return state


def load_checkpoint(cfg: Any, trainer: Any, **kwargs: Any) -> Any:
    """Start or resume a training, in the place of fairseq's function of that name.

    Args:
        cfg: fairseq's configuration of checkpoints.
        trainer: The trainer.
        **kwargs: fairseq's.

    Raises:
        ValueError: If it is to start from a folder.
    """
    for option in ("finetune_from_model", "restore_file", "continue_once"):
        path = getattr(cfg, option, None)
        if path and Path(path).is_dir():
            raise ValueError(
                f"--{option.replace('_', '-')} must be a checkpoint's file, but {path} is a "
                "folder; make a file of an exported model with python -m fairseq_audiochat.export "
                "--back."
            )
    return _fairseq_load(cfg, trainer, **kwargs)


checkpoint_utils.load_checkpoint_to_cpu = load_checkpoint_to_cpu
checkpoint_utils.load_checkpoint = load_checkpoint
