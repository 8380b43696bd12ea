"""What the LLM reads in an evaluation: the reference text, recordings, or transcripts of them.

An arm is described by its kind and its checkpoint, and opened when its turn comes: of many
checkpoints one is in memory at a time, beside the one LLM that they share.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from fairseq.checkpoint_utils import load_checkpoint_to_cpu, load_model_ensemble_and_task
from fairseq.models import FairseqEncoderDecoderModel

from fairseq_audiochat.data.chat_template import ChatTemplate
from fairseq_audiochat.data.prompt_batch import PromptKind
from fairseq_audiochat.evaluate.run_record import digest
from fairseq_audiochat.export.description import described_by
from fairseq_audiochat.models.llm_decoder import LlmDecoder
from fairseq_audiochat.models.prompt_encoder import PromptEncoder, TextPromptEncoder
from fairseq_audiochat.modules.chunks import Chunks
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.tasks._audio_chat_config import AudioChatConfig
from fairseq_audiochat.tasks._cascade import Cascade
from fairseq_audiochat.tasks.audio_chat import AudioChatTask

TEXT, END_TO_END, CASCADE, NOTHING = "text", "end-to-end", "cascade", "nothing"
LISTENING = (END_TO_END, CASCADE)


@dataclass(frozen=True)
class Arm:
    """One way to fill the prompt.

    Args:
        name: In tables and file names; no two arms have the same.
        kind: ``text``, ``end-to-end``, ``cascade`` or ``nothing`` (a control).
        checkpoint: Of ``audio_chat`` (end-to-end) or ``audio_ctc`` (cascade).
        chunks: In which long recordings are encoded; None for whole.
    """

    name: str
    kind: str
    checkpoint: Path | None = None
    chunks: Chunks | None = None

    @property
    def prompt_kind(self) -> PromptKind:
        """What stands in the prompt: a recording, a text or nothing."""
        kinds = {END_TO_END: PromptKind.AUDIO, NOTHING: PromptKind.NONE}
        return kinds.get(self.kind, PromptKind.TEXT)

    @property
    def listens(self) -> bool:
        """Whether what is said of a recording reaches the LLM through the recording."""
        return self.kind in LISTENING

    def describe(self) -> dict[str, Any]:
        """The arm for ``run.json``: its checkpoint's digest and age.

        Raises:
            FileNotFoundError: If its checkpoint is missing.
            ValueError: If it is another task's.
        """
        if self.checkpoint is None:
            return {"kind": self.kind}
        _check(self, "audio_chat" if self.kind == END_TO_END else "audio_ctc")
        return {
            "kind": self.kind,
            "path": str(self.checkpoint.resolve()),
            "sha256": digest(described_by(self.checkpoint)),
            "updates": _updates(self.checkpoint),
            "chunks": None if self.chunks is None else vars(self.chunks),
        }


class Systems:
    """The frozen LLM, and the checkpoints that speak to it.

    Args:
        llm: The LLM's folder.
        dtype: In which it computes.
        quantisation: See ``--llm-quantisation``.
        device: Where everything computes.
    """

    def __init__(self, llm: Path, dtype: str, quantisation: str, device: torch.device) -> None:
        self.path, self.dtype, self.quantisation, self.device = llm, dtype, quantisation, device
        config = AudioChatConfig(data="", llm=str(llm), llm_dtype=dtype, seed=1)
        config.llm_quantisation = quantisation
        self.task = AudioChatTask(config)

    @property
    def template(self) -> ChatTemplate:
        """The LLM's chat template."""
        return self.task.template

    @cached_property
    def llm(self) -> FrozenLlm:
        """The LLM, on the device; loaded when it is needed."""
        return self.task.load_llm().to(self.device)

    @property
    def pad(self) -> int:
        """Padding id of token tensors; no id of the LLM."""
        return self.task.target_dictionary.pad()

    def describe(self) -> dict[str, Any]:
        """The LLM for ``run.json``."""
        return {
            "path": str(self.path.resolve()),
            "fingerprint": self.llm.fingerprint._asdict(),
            "template": self.template.name,
            "dtype": self.dtype,
            "quantisation": self.quantisation,
        }

    def open_model(self, arm: Arm) -> FairseqEncoderDecoderModel:
        """An arm's prompt encoder and the LLM, in eval mode on the device.

        Raises:
            FileNotFoundError: If its checkpoint is missing.
            ValueError: If it is another task's, or was trained with another LLM.
        """
        if arm.kind != END_TO_END:
            encoder = TextPromptEncoder(self.llm.embed)
            decoder = LlmDecoder(self.task.target_dictionary, self.llm)
            return FairseqEncoderDecoderModel(encoder, decoder).eval()
        path = _check(arm, "audio_chat")
        (model,), *_ = load_model_ensemble_and_task([str(path)], task=self.task)
        model.encode_in_chunks(arm.chunks)
        return model.eval().to(self.device)

    def open_cascade(self, arm: Arm) -> Cascade:
        """A cascade's recogniser.

        Raises:
            FileNotFoundError: If its checkpoint is missing.
            ValueError: If it is another task's.
        """
        return Cascade(str(_check(arm, "audio_ctc")), self.template, self.pad, arm.chunks)

    def audio_positions(
        self, model: FairseqEncoderDecoderModel, n_frames: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Prompt positions of recordings with so many 10 ms frames; 0 where nobody listens."""
        if not isinstance(model.encoder, PromptEncoder):
            return np.zeros_like(n_frames)
        positions: npt.NDArray[np.int64] = model.encoder.audio_positions(n_frames)
        return positions


def _check(arm: Arm, task: str) -> Path:
    path = arm.checkpoint
    if path is None or not path.exists():
        raise FileNotFoundError(
            f"{path}: the checkpoint of {arm.name!r} must exist, but does not; train {task} first, "
            "or check the path."
        )
    found = load_checkpoint_to_cpu(str(path))["cfg"].task.get("_name")
    if found != task:
        raise ValueError(
            f"{path}: the checkpoint of {arm.name!r} must be one of {task}, because it is given "
            f"with --{arm.kind}, but is one of {found!r}."
        )
    return path


def _updates(path: Path) -> int:
    """Updates that made a checkpoint; 0 if it does not say."""
    history = load_checkpoint_to_cpu(str(path)).get("optimizer_history") or [{}]
    return int(history[-1].get("num_updates", 0))
