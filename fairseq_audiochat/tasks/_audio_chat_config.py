"""The options of the task ``audio_chat``."""

from dataclasses import dataclass, field
from typing import Optional

from fairseq.dataclass import ChoiceEnum
from omegaconf import MISSING

from fairseq_audiochat.modules.llm_quantisation import QUANTISATIONS
from fairseq_audiochat.modules.precision import DTYPES
from fairseq_audiochat.tasks._speech_task import SpeechTaskConfig


@dataclass
class AudioChatConfig(SpeechTaskConfig):
    """Speech, the LLM's responses to its transcripts, and the LLM."""

    llm: str = field(
        default=MISSING,
        metadata={
            "help": "folder of the frozen chat LLM (section 3.2): in Hugging Face format, or "
            "Llama-2 as Meta publishes it"
        },
    )
    llm_dtype: ChoiceEnum(list(DTYPES)) = field(  # type: ignore[valid-type]
        default="float32", metadata={"help": "dtype in which the LLM computes"}
    )
    llm_shards: int = field(
        default=1,
        metadata={
            "help": "processes that share one copy of the LLM, for an LLM larger than one device: "
            "each keeps a part of every layer, and gathers the layer that computes"
        },
    )
    llm_quantisation: ChoiceEnum(list(QUANTISATIONS)) = field(  # type: ignore[valid-type]
        default="none",
        metadata={
            "help": "how the LLM's weights are held: as --llm-dtype (none), or in 8 or 4 bits "
            "(int8, nf4; need torchao), about half or a quarter of bfloat16's memory"
        },
    )
    prompt: ChoiceEnum(["audio", "text", "cascade", "none"]) = field(  # type: ignore[valid-type]
        default="audio",
        metadata={
            "help": "what the LLM reads in validation and generation (Table 2): the recording, "
            "the reference text, what --asr-checkpoint recognises, or (a control) nothing"
        },
    )
    max_llm_positions: Optional[int] = field(
        default=None,
        metadata={
            "help": "at most this many LLM positions (prompts and responses) per batch: "
            "--max-tokens limits the encoder's frames alone (no limit)"
        },
    )
    asr_checkpoint: Optional[str] = field(
        default=None, metadata={"help": "CTC checkpoint that recognises for --prompt cascade"}
    )
