"""What is worth publishing of a training's checkpoint: weights, settings, where they come from.

Reads of the checkpoint only what it takes, not the optimizer. Knows nothing of files to write.
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairseq_audiochat.export.architecture import (
    CHAT,
    CTC,
    FINGERPRINT,
    Architecture,
    architecture_called,
)
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint


class TrainedCheckpoint:
    """A checkpoint of one of our models.

    Args:
        path: Its file.
        ema: Take the average over the updates (``--store-ema``) in the place of the last weights.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, another model's, or has no average.
    """

    def __init__(self, path: Path, ema: bool = False) -> None:
        self.path = path
        self.ema = ema
        self._state = _read_state(path)
        self.architecture = self._architecture()
        self._refuse_without(CHAT, self.fingerprint, "the fingerprint of its LLM")
        self._refuse_without(CTC, self.vocabulary, "its vocabulary")
        if ema and "ema" not in self._extra_state():
            raise ValueError(
                f"{path}: the checkpoint must hold an average of its weights for --ema, but holds "
                "none; train with --store-ema, or leave --ema away."
            )

    @property
    def updates(self) -> int:
        """Updates that it was trained for."""
        return int(self._state["optimizer_history"][-1]["num_updates"])

    @property
    def vocabulary(self) -> bytes | None:
        """The SentencePiece model of the CTC head, if there is one."""
        tensor = self._state["task_state"].get("vocabulary")
        return None if tensor is None else bytes(tensor.numpy().tobytes())

    @property
    def fingerprint(self) -> LlmFingerprint | None:
        """That of the LLM which the model was trained for, if there is one."""
        tensor = self._state["model"].get(FINGERPRINT)
        return None if tensor is None else LlmFingerprint.from_tensor(tensor)

    @property
    def llm_path(self) -> str:
        """Where that LLM was when it was trained."""
        return str(self._state["cfg"]["task"].get("llm"))

    def model_settings(self) -> dict[str, Any]:
        """The settings of the model that decide what it computes."""
        return self.architecture.model_values(self._state["cfg"]["model"])

    def task_settings(self) -> dict[str, Any]:
        """The settings of the task that decide what the model computes."""
        return self.architecture.task_values(self._state["cfg"]["task"])

    def tensors(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """What was trained, by its names in the model's state dict.

        Args:
            dtype: In which to give it.

        Raises:
            ValueError: If a number is not finite, or not in that dtype.
        """
        weights = {**self._state["model"], **(self._average() if self.ema else {})}
        weights.pop(FINGERPRINT, None)
        converted = {}
        for name, tensor in weights.items():
            converted[name] = tensor.to(dtype).contiguous().clone()
            if not converted[name].isfinite().all():
                before = "finite" if tensor.isfinite().all() else "not finite in the checkpoint"
                raise ValueError(
                    f"{self.path}: weights must be finite in {str(dtype).removeprefix('torch.')}, "
                    f"but {name!r} has some that are not ({before}); use another --dtype or "
                    "checkpoint."
                )
        return converted

    def _average(self) -> dict[str, Tensor]:
        extra = self._extra_state()
        return {**extra["ema"], **extra.get("ema_fp32_params", {})}

    def _extra_state(self) -> dict[str, Any]:
        extra: dict[str, Any] = self._state["extra_state"]
        return extra

    def _refuse_without(self, architecture: Architecture, part: object, name: str) -> None:
        if self.architecture is architecture and part is None:
            raise ValueError(
                f"{self.path}: a checkpoint of {architecture.name} must hold {name}, but holds "
                "none; train it with this version of fairseq-audiochat."
            )

    def _architecture(self) -> Architecture:
        name = str(self._state["cfg"]["model"].get("_name"))
        architecture = architecture_called(name)
        if architecture is None:
            raise ValueError(
                f"{self.path}: the checkpoint must be one of audio_prefix_llm or conformer_ctc, "
                f"but is one of {name!r}."
            )
        return architecture


def _read_state(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the checkpoint must be a file that exists, but is not; give a "
            "checkpoint_*.pt of a training."
        )
    try:
        # Mapped: what nobody looks at, as the optimizer's moments, is never read.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        needed = [state[name] for name in ("model", "task_state", "extra_state")]
        needed += [state["cfg"]["model"], state["cfg"]["task"]]
        needed += [state["optimizer_history"][-1]["num_updates"]]
        if any(part is None for part in needed):
            raise KeyError("model")
    except (pickle.UnpicklingError, RuntimeError, LookupError, TypeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: must be a whole checkpoint of fairseq-train, but: {reason}; give a "
            "checkpoint_*.pt of a training."
        ) from error
    return dict(state)
