"""The task ``audio_chat``: teach the encoder to make a frozen LLM answer speech as text.

Training, validation (perplexity of the three arms of Table 2) and beam search.
"""

import logging
from typing import Any, Dict, List, Optional

import torch
from fairseq.tasks import register_task
from omegaconf import DictConfig

from fairseq_audiochat.data.chat_dataset import ChatDataset
from fairseq_audiochat.data.context_limit import ContextLimit
from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.dialogue_dataset import DialogueDataset
from fairseq_audiochat.data.dialogues import Dialogues
from fairseq_audiochat.data.llm_dictionary import LlmDictionary
from fairseq_audiochat.data.prompt_batch import PromptKind
from fairseq_audiochat.data.template_loading import load_template
from fairseq_audiochat.models.audio_prefix_llm import AudioPrefixLlmModel, read_encoder_checkpoint
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.llm_loading import check_llm_path, load_llm, read_llm_config
from fairseq_audiochat.tasks._answers import Answers, check_origin, open_answers
from fairseq_audiochat.tasks._audio_chat_config import AudioChatConfig
from fairseq_audiochat.tasks._cascade import Cascade
from fairseq_audiochat.tasks._llm_shards import LlmShards
from fairseq_audiochat.tasks._speech_task import SpeechTask, is_training_call

logger = logging.getLogger(__name__)


@register_task("audio_chat", dataclass=AudioChatConfig)
class AudioChatTask(SpeechTask):
    """Spoken prompts and responses.

    Args:
        cfg: Its configuration.

    Raises:
        FileNotFoundError: If the cascade's checkpoint is missing.
        ValueError: If the LLM's folder is none, or ``--prompt cascade`` has no checkpoint.
    """

    cfg: AudioChatConfig

    def __init__(self, cfg: AudioChatConfig) -> None:
        super().__init__(cfg)
        if (cfg.prompt == "cascade") != (cfg.asr_checkpoint is not None):
            raise ValueError(
                "--asr-checkpoint must be given with --prompt cascade and only then, but --prompt "
                f"is {cfg.prompt!r} and --asr-checkpoint is {cfg.asr_checkpoint!r}."
            )
        if cfg.llm_shards > 1 and cfg.llm_quantisation != "none":
            raise ValueError(
                "--llm-quantisation must be 'none' with --llm-shards, but is "
                f"{cfg.llm_quantisation!r}; quantised weights cannot be shared out."
            )
        llm_path = check_llm_path(cfg.llm)
        self.template = load_template(llm_path)
        self._dictionary = LlmDictionary(self.template, read_llm_config(llm_path).vocab_size)
        self._llm: Optional[FrozenLlm] = None
        self._shards = LlmShards(cfg.llm_shards)
        self._cascade: Optional[Cascade] = None
        if cfg.asr_checkpoint is not None:
            self._cascade = Cascade(
                cfg.asr_checkpoint, self.template, self._dictionary.pad(), self.chunks
            )
        self._context: Optional[ContextLimit] = None

    @property
    def target_dictionary(self) -> LlmDictionary:
        """The LLM's vocabulary."""
        return self._dictionary

    def load_llm(self) -> FrozenLlm:
        """The frozen LLM, loaded once and shared by the models of an ensemble."""
        if self._llm is None:
            dtype = getattr(torch, str(self.cfg.llm_dtype))
            self._llm = load_llm(self.cfg.llm, dtype, str(self.cfg.llm_quantisation))
        return self._llm

    def build_model(self, cfg: DictConfig, from_checkpoint: bool = False) -> AudioPrefixLlmModel:
        """Build the model; a new one starts from the CTC checkpoint's encoder."""
        checkpoint = None
        if cfg.encoder_checkpoint and not from_checkpoint:
            checkpoint = read_encoder_checkpoint(cfg)
        self._shards.make(self.load_llm(), bool(cfg.checkpoint_activations))
        model: AudioPrefixLlmModel = super().build_model(cfg, from_checkpoint)
        if checkpoint is not None:
            model.load_audio_encoder(checkpoint)
        self._context = ContextLimit(self.load_llm().max_positions, model.encoder.audio_positions)
        return model

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Take over what a checkpoint, or an exported model, says of its task.

        Raises:
            ValueError: If it was trained with another chat template.
        """
        super().load_state_dict(state_dict)
        trained_with = state_dict.get("chat_template")
        if trained_with not in (None, self.template.name):
            raise ValueError(
                f"The chat template must be the one that the model was trained with, "
                f"{trained_with!r}, but is {self.template.name!r}; give --llm the folder of that "
                "LLM, or use the version of fairseq-audiochat that exported the model."
            )

    def load_dataset(self, split: str, **kwargs: Any) -> None:
        """Open a split with its responses; only the one that is trained on is augmented.

        Raises:
            ValueError: If the responses are another LLM's, or the split has both responses and
                dialogues.
        """
        is_training = is_training_call(kwargs)
        settings = {
            "template": self.template,
            "prompts": PromptKind.of(str(self.cfg.prompt)),
            "pad": self._dictionary.pad(),
            "spec_augment": self.spec_augment(is_training),
            "max_audio_seconds": self.cfg.max_audio_seconds if is_training else None,
            "context": self._context,
            "max_llm_positions": self.cfg.max_llm_positions,
        }
        responses = self.path(f"{split}.responses.jsonl")
        dialogues = self.path(f"{split}.dialogues.jsonl")
        answered = open_answers(responses, dialogues, self.manifest(split))
        self.check_responses(answered)
        if isinstance(answered, Dialogues):
            self.datasets[split] = DialogueDataset(answered, **settings)
        else:
            self.datasets[split] = ChatDataset(self.manifest(split), answered, **settings)
        self.announce(split, is_training)

    def check_responses(self, responses: Answers) -> None:
        """Refuse responses that this LLM did not give, or not to this template.

        Raises:
            ValueError: With what differs.
        """
        check_origin(responses, self.template, self._llm.fingerprint if self._llm else None)

    def train_step(self, sample: Dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Train on recordings.

        Raises:
            ValueError: If ``--prompt`` asks for something else.
        """
        if self.cfg.prompt != "audio":
            raise ValueError(
                f"--prompt must be 'audio' in training, but is {self.cfg.prompt!r}; the encoder "
                "learns from recordings."
            )
        return super().train_step(sample, *args, **kwargs)

    def valid_step(self, sample: Dict[str, Any], model: Any, criterion: Any) -> Any:
        """Score the responses behind the prompts that ``--prompt`` names.

        Raises:
            ValueError: If processes share the LLM, and this one has no batch to score.
        """
        counts = self._recognise(sample) if sample else {}
        super().valid_step(self._shards.batch_to_take_part_with(sample), model, criterion)
        loss, sample_size, logging_output = super().valid_step(sample, model, criterion)
        return loss, sample_size, {**logging_output, **counts}

    def inference_step(
        self,
        generator: Any,
        models: List[Any],
        sample: Dict[str, Any],
        prefix_tokens: Optional[torch.Tensor] = None,
        constraints: Optional[torch.Tensor] = None,
    ) -> Any:
        """Search responses; the decoder's first input is the prompt's last token.

        Raises:
            ValueError: If prompt and longest response exceed the LLM's positions, or the LLM is
                spread over processes.
        """
        self._shards.refuse_search()
        self._recognise(sample)
        if self._context is not None and hasattr(generator, "max_len_b"):  # it searches
            self._context.refuse_long_search(sample, generator.max_len_b)
        first = self.template.prompt(Conversation.of_audio())[-1]
        # fairseq's diverse beam search takes the ids for rows of the batch.
        rows = torch.arange(len(sample["id"]), device=sample["id"].device)
        with torch.no_grad():
            return generator.generate(
                models,
                {**sample, "id": rows},
                prefix_tokens=prefix_tokens,
                constraints=constraints,
                bos_token=first,
            )

    def build_generator(self, models: List[Any], args: Any, **kwargs: Any) -> Any:
        """Fairseq's own generator.

        Raises:
            ValueError: If the length of the answer is to depend on that of the source, which is
                a template here, or if an alignment is asked for.
        """
        if getattr(args, "max_len_a", 0) or getattr(args, "match_source_len", False):
            raise ValueError(
                "--max-len-a and --match-source-len must not be given, because the length of a "
                "prompt says nothing about that of its answer; use --max-len-b."
            )
        if getattr(args, "print_alignment", None):
            raise ValueError(
                "--print-alignment must not be given, because a prompt of audio embeddings has no "
                "words to align with."
            )
        return super().build_generator(models, args, **kwargs)

    def build_bpe(self, args: Any) -> LlmDictionary:
        """What turns the pieces of fairseq-generate's H- lines into the text of its D- lines."""
        return self._dictionary

    def _recognise(self, sample: Dict[str, Any]) -> Dict[str, int]:
        """With ``--prompt cascade``, let the LLM read what a CTC checkpoint recognises."""
        if self._cascade is None:
            return {}
        errors = self._cascade.replace_audio(sample, self.load_llm().max_positions)
        return {"prompt_word_errors": errors.errors, "prompt_words": errors.words}
