"""The model ``audio_prefix_llm``: an audio encoder in front of a frozen LLM.

For fairseq it is an encoder-decoder model: the encoder builds the prompt, the decoder is the
LLM. Trained and saved are the audio encoder and the projection.
"""

import logging
from dataclasses import dataclass, field, fields
from itertools import chain
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from fairseq import checkpoint_utils
from fairseq.models import FairseqEncoderDecoderModel, register_model
from omegaconf import DictConfig, open_dict
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from fairseq_audiochat.models.conformer_ctc import (
    ComputationConfig,
    ConformerConfig,
    build_encoder,
)
from fairseq_audiochat.models.llm_decoder import LlmDecoder
from fairseq_audiochat.models.prompt_encoder import PromptEncoder
from fairseq_audiochat.modules.audio_adapter import AudioAdapter
from fairseq_audiochat.modules.chunks import Chunks
from fairseq_audiochat.modules.llm_fingerprint import LlmFingerprint

logger = logging.getLogger(__name__)

# fairseq's EMA averages every entry of a state dict but those that are called a version.
_FINGERPRINT = "llm_version"


@dataclass
class AudioPrefixLlmConfig(ConformerConfig, ComputationConfig):
    """The encoder, and how it meets the LLM."""

    encoder_checkpoint: Optional[str] = field(
        default=None,
        metadata={
            "help": "CTC checkpoint whose encoder to start from; it also gives the encoder's "
            "size (section 3.1). Without it the encoder starts from random weights"
        },
    )
    stack_frames: int = field(
        default=1,
        metadata={
            "help": "encoder frames n stacked into one embedding (section 3.2; 1 gives the 40 "
            "embeddings for 3.2 s of Figure 3)"
        },
    )


@register_model("audio_prefix_llm", dataclass=AudioPrefixLlmConfig)
class AudioPrefixLlmModel(FairseqEncoderDecoderModel):
    """Prompt encoder and frozen LLM.

    Args:
        encoder: Builds prompts.
        decoder: The LLM.
    """

    encoder: PromptEncoder
    decoder: LlmDecoder

    def __init__(self, encoder: PromptEncoder, decoder: LlmDecoder) -> None:
        super().__init__(encoder, decoder)
        self.register_buffer(_FINGERPRINT, decoder.llm.fingerprint.to_tensor())
        self.register_load_state_dict_pre_hook(AudioPrefixLlmModel._refuse_other_llm)
        # Every process has the frozen LLM from its folder, or a part of it: nobody sends it around.
        tensors = chain(decoder.llm.named_parameters(), decoder.llm.named_buffers())
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(
            self, [f"decoder.llm.{name}" for name, _ in tensors]
        )

    @classmethod
    def build_model(cls, cfg: AudioPrefixLlmConfig, task: Any) -> "AudioPrefixLlmModel":
        """Build the model around the task's LLM."""
        llm = task.load_llm()
        audio_encoder = build_encoder(cfg)
        adapter = AudioAdapter(
            audio_encoder.width, cfg.stack_frames, llm.width, llm.embedding_std()
        )
        if cfg.checkpoint_activations:
            audio_encoder.checkpoint_activations()
            llm.checkpoint_activations()
        dtype = getattr(torch, str(cfg.encoder_dtype))
        encoder = PromptEncoder(audio_encoder, adapter, llm.embed, dtype)
        return cls(encoder, LlmDecoder(task.target_dictionary, llm))

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        features: Tensor,
        frame_lengths: Tensor,
        prev_output_tokens: Tensor,
        features_only: bool = False,
    ) -> Any:
        """Predict responses.

        Args:
            src_tokens: See `PromptEncoder.forward`, like the next three.
            src_lengths: See above.
            features: See above.
            frame_lengths: See above.
            prev_output_tokens: See `LlmDecoder.forward`.
            features_only: Give hidden states at the response positions instead of logits.

        Returns:
            Logits ``(B, L, V)`` and None; or hidden states ``(N, D)``, see
            `LlmDecoder.extract_features`.
        """
        encoder_out = self.encoder(src_tokens, src_lengths, features, frame_lengths)
        if features_only:
            return self.decoder.extract_features(prev_output_tokens, encoder_out)
        return self.decoder(prev_output_tokens, encoder_out)

    def max_positions(self) -> None:
        """The dataset counts positions itself, and names what does not fit."""
        return

    def encode_in_chunks(self, chunks: Optional[Chunks]) -> None:
        """See `ConformerEncoder.encode_in_chunks`."""
        self.encoder.audio_encoder.encode_in_chunks(chunks)

    def load_audio_encoder(self, checkpoint: Dict[str, Any]) -> None:
        """Take over the encoder of a CTC checkpoint, without its head."""
        prefix = "encoder."
        self.encoder.audio_encoder.load_state_dict(
            {
                key[len(prefix) :]: tensor
                for key, tensor in checkpoint["model"].items()
                if key.startswith(prefix)
            }
        )

    def _refuse_other_llm(self, state_dict: Dict[str, Tensor], prefix: str, *args: Any) -> None:
        stored = state_dict.get(prefix + _FINGERPRINT)
        if stored is None:
            return  # reported as a missing key
        trained_with = LlmFingerprint.from_tensor(stored)
        difference = self.decoder.llm.fingerprint.difference_from(trained_with._asdict())
        if difference:
            raise ValueError(
                "The LLM must be the one that the checkpoint was trained with, but differs: "
                f"{difference}; give --llm the folder of that LLM."
            )


def read_encoder_checkpoint(cfg: DictConfig) -> Dict[str, Any]:
    """Read the CTC checkpoint that a config names, and take over its encoder's size.

    Args:
        cfg: The model's config; its encoder fields are replaced, so that the checkpoint of the
            new model describes itself.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If it is no checkpoint of ``conformer_ctc``.
    """
    path = cfg.encoder_checkpoint
    if not Path(path).exists():
        raise FileNotFoundError(
            f"{path}: --encoder-checkpoint must exist, but does not; train audio_ctc first."
        )
    checkpoint: Dict[str, Any] = checkpoint_utils.load_checkpoint_to_cpu(path)
    trained = checkpoint["cfg"].model
    if not str(trained.get("_name")).startswith("conformer_ctc"):
        raise ValueError(
            f"{path}: --encoder-checkpoint must be a checkpoint of conformer_ctc, but is one of "
            f"{trained.get('_name')!r}."
        )
    with open_dict(cfg):
        for item in fields(ConformerConfig):
            if item.name != "_name":
                cfg[item.name] = trained[item.name]
    logger.info("audio encoder from %s", path)
    return checkpoint
