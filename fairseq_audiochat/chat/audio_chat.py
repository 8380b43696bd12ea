"""`AudioChat`: a trained model that answers messages of text and audio.

What a program uses. Knows no terminal and no web page.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from fairseq.checkpoint_utils import load_checkpoint_to_cpu, load_model_ensemble_and_task

from fairseq_audiochat.chat.answer import Answer
from fairseq_audiochat.chat.answer_stream import AnswerStream
from fairseq_audiochat.chat.answering import Answering
from fairseq_audiochat.chat.decoding import Decoding
from fairseq_audiochat.chat.dialogue import Dialogue
from fairseq_audiochat.chat.messages import Message, MessageReader
from fairseq_audiochat.models.audio_prefix_llm import AudioPrefixLlmModel

MAX_AUDIO_SECONDS = 300.0
"""Of one recording: 3,750 positions of 80 ms, most of Llama-2's 4,096."""


class AudioChat:
    """Answers dialogues in the message format of transformers and of OpenAI's API.

    A message is a dict with ``role`` (``system``, ``user`` or ``assistant``) and ``content``: a
    text, or a list of parts. Parts of a user message are

    - ``{"type": "text", "text": "..."}`` (or ``input_text``), and
    - ``{"type": "audio", "audio": ...}``: a path, the bytes of an audio file, an array of samples
      at 16 kHz, ``(array, rate)``, or ``{"array": array, "sampling_rate": rate}``; arrays are
      ``(samples,)`` or ``(samples, channels)``, of floats in [-1, 1], int16 or int32;
    - ``{"type": "input_audio", "input_audio": {"data": base64}}``, as OpenAI's API has it.

    An assistant message is best made from what `respond` gave: an `Answer` is a ``str`` that
    remembers the ids that were generated. A text alone is encoded anew, which is not always the
    same.

    Several threads may share one `AudioChat`: its weights are only read, and prompts are written
    one at a time. What belongs to one conversation is in its `Dialogue`, which answers one question
    at a time.

    Args:
        model: The trained model.
        task: The task ``audio_chat`` that it belongs to.
        max_audio_seconds: Longer recordings are refused; None is no limit.
    """

    def __init__(
        self,
        model: AudioPrefixLlmModel,
        task: Any,
        max_audio_seconds: float | None = MAX_AUDIO_SECONDS,
    ) -> None:
        model.eval()  # gives nothing where fairseq has made the model fast before
        self.model = model
        self.task = task
        self.max_audio_seconds = max_audio_seconds
        self._answering = Answering(self.model, task)
        self._reader = MessageReader(self._answering.decode, max_audio_seconds)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        llm: str | Path,
        *,
        dtype: str | None = None,
        quantisation: str | None = None,
        device: str | torch.device | None = None,
        max_audio_seconds: float | None = MAX_AUDIO_SECONDS,
    ) -> "AudioChat":
        """Load what was trained, and the LLM that it was trained with, to answer only.

        Args:
            path: A checkpoint of the task ``audio_chat``, or the folder of an exported model.
            llm: The LLM's folder.
            dtype: In which the LLM computes: ``float32``, ``bfloat16`` or ``float16``; by default
                as in training.
            quantisation: How its weights are held: ``none``, ``int8`` or ``nf4``; by default as in
                training.
            device: By default a GPU if there is one.
            max_audio_seconds: Longer recordings are refused; None is no limit.

        Raises:
            FileNotFoundError: If the checkpoint is missing.
            ValueError: If it is of another task, or was trained with another LLM.
        """
        overrides = {"llm": str(llm), "prompt": "audio", "asr_checkpoint": None, "llm_shards": 1}
        if dtype is not None:
            overrides["llm_dtype"] = dtype
        if quantisation is not None:
            overrides["llm_quantisation"] = quantisation
        state = _read_checkpoint(path, overrides)
        [model], _, task = load_model_ensemble_and_task([str(path)], overrides, state=state)
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        chat = cls(model.to(device), task, max_audio_seconds)
        chat.model.make_generation_fast_(one_row=True)
        return chat

    def respond(
        self, messages: Sequence[Message], drop_oldest_turns: bool = False, **options: Any
    ) -> Answer:
        """Answer a dialogue.

        Args:
            messages: Ending with the user's message to be answered.
            drop_oldest_turns: Where the dialogue is longer than the context, leave out as many of
                its oldest pairs of turns as it takes; the answer says how many.
            **options: See `Decoding`: ``max_new_tokens``, ``beam``, ``temperature``, ...

        Raises:
            FileNotFoundError: If a recording is missing.
            ValueError: If a message or an option is not as it must be, or the dialogue does not
                fit into the context.
        """
        return self.stream(messages, drop_oldest_turns, **options).finish()

    def respond_batch(
        self,
        dialogues: Sequence[Sequence[Message]],
        drop_oldest_turns: bool = False,
        names: Sequence[str] | None = None,
        **options: Any,
    ) -> list[Answer]:
        """Answer several dialogues in one batch, each as if it were alone.

        Args:
            dialogues: The messages of each.
            drop_oldest_turns: See `respond`.
            names: What to call each in errors; by default ``dialogues[0]`` and so on.
            **options: See `Decoding`. With a seed, every dialogue draws from that seed.

        Raises:
            FileNotFoundError: If a recording is missing.
            ValueError: See `respond`.
        """
        if not dialogues:
            return []
        decoding = Decoding(**options)
        fitted = []
        for index, messages in enumerate(dialogues):
            name = f"dialogues[{index}]" if names is None else names[index]
            conversation = self._reader.conversation(messages, name)
            fitted.append(
                self._answering.fit(conversation, decoding.max_new_tokens, drop_oldest_turns, name)
            )
        found = self._answering.batch([prompt for prompt, _ in fitted], decoding)
        return [
            self._stream(iter(ids), dropped).finish() for ids, (_, dropped) in zip(found, fitted)
        ]

    def stream(
        self, messages: Sequence[Message], drop_oldest_turns: bool = False, **options: Any
    ) -> AnswerStream:
        """Answer a dialogue, with the text as it comes; see `respond`.

        Returns:
            An iterator over pieces of text; its ``answer`` is there when it has ended. A beam
            search gives its text in the end.
        """
        decoding = Decoding(**options)
        prompt, dropped = self._answering.fit(
            self._reader.conversation(messages),
            decoding.max_new_tokens,
            drop_oldest_turns,
            "messages",
        )
        cache = self._answering.new_cache()
        return self._stream(self._answering.tokens(cache, prompt, decoding), dropped)

    def dialogue(self, messages: Sequence[Message] = ()) -> Dialogue:
        """A dialogue that remembers, so that every turn costs only its new tokens.

        Args:
            messages: What was said before: a system message perhaps, and whole pairs of a user and
                an assistant message.

        Raises:
            FileNotFoundError: If a recording is missing.
            ValueError: If a message is not as it must be.
        """
        return Dialogue(self._answering, self._reader, messages)

    def _stream(self, tokens: Any, dropped_turns: int) -> AnswerStream:
        eos_id = self._answering.template.eos_id
        return AnswerStream(tokens, self._answering.text_stream(), eos_id, dropped_turns)


def _read_checkpoint(path: str | Path, overrides: dict[str, Any]) -> dict[str, Any]:
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: the checkpoint must exist, but does not; check the path.")
    try:
        state: dict[str, Any] = load_checkpoint_to_cpu(str(path), overrides)
        task = state["cfg"].task.get("_name")
    except (FileNotFoundError, ValueError):
        raise  # a folder that is no exported model says so itself
    except Exception as error:  # torch's unpickler raises whatever the bytes lead it to
        raise ValueError(
            f"{path}: the checkpoint must be one that fairseq-train wrote, but: {error}"
        ) from error
    if task != "audio_chat":
        raise ValueError(
            f"{path}: the checkpoint must be one of the task audio_chat, but is one of {task!r}; "
            "give the one that was distilled."
        )
    return state
