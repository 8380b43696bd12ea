"""A Hugging Face tokenizer with its chat template: writes conversations, and reads text as ids.

The pipeline is that which ``tokenizer.json`` states. Knows nothing of recordings.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast

from fairseq_audiochat.data.tokenizer_files import TOKENIZER_JSON, read_chat_template

# Templates may write today's date. A prompt must be the same tomorrow: the date is that which
# Llama-3.1's template writes where it is given none.
_DATE = {"%Y": "2024", "%m": "07", "%d": "26", "%b": "Jul", "%B": "July", "%A": "Friday"}
_FIXED_DATE = (
    "{%- macro strftime_now(format) -%}{{ format"
    + "".join(f".replace('{key}', '{value}')" for key, value in _DATE.items())
    + ' }}{%- endmacro %}{{ "" }}'  # without the last, a line break behind it would vanish
)
_SETTINGS = {"enable_thinking": False}  # a response is what is said (Qwen3)


class HuggingFaceTokenizer:
    """A tokenizer and its template.

    Args:
        folder: That of the LLM, with ``tokenizer.json`` and a chat template.

    Raises:
        FileNotFoundError: If there is no ``tokenizer.json``.
        ValueError: If it cannot be read, or has no chat template.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / TOKENIZER_JSON
        _refuse_missing(self.path)
        self._template = _FIXED_DATE + read_chat_template(self.path.parent)
        self._tokenizer = _load(self.path)
        self._backend = self._tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        added = (token.content for token in self._backend.get_added_tokens_decoder().values())
        # Some tokenizers add runs of blanks, which are text.
        self.symbols = tuple(symbol for symbol in added if not symbol.isspace())
        self.size: int = 1 + max(self._backend.get_vocab().values())
        self.unk_id: int | None = self._tokenizer.unk_token_id
        self.bos_id: int | None = self._tokenizer.bos_token_id
        self.eos_id: int | None = self._tokenizer.eos_token_id

    def write(self, chat: list[dict[str, str]]) -> str:
        """What the template makes of messages, up to where the LLM answers.

        Raises:
            ValueError: If the template refuses them.
        """
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    chat,
                    chat_template=self._template,
                    add_generation_prompt=True,
                    tokenize=False,
                    **_SETTINGS,
                )
            )
        except (TemplateError, TypeError) as error:
            raise ValueError(
                f"{self.path}: the chat template must write a conversation of "
                f"{', '.join(message['role'] for message in chat)}, but: {error}; use another "
                "model or template."
            ) from error

    def read(self, written: str) -> list[int]:
        """Ids of what the template wrote."""
        return list(self._backend.encode(written, add_special_tokens=False).ids)

    def encode(self, text: str) -> list[int]:
        """Ids of a text in which control symbols are text."""
        with self._symbols_as_text():
            return self.read(text)

    def decode(self, ids: Sequence[int], keep_symbols: bool) -> str:
        """The text of ids, with or without control symbols."""
        return str(self._backend.decode(list(ids), skip_special_tokens=not keep_symbols))

    def piece(self, token: int) -> str:
        """The piece of an id."""
        return str(self._backend.id_to_token(token))

    def pieces(self) -> list[str]:
        """A name for each id, all different, in the order of the ids; none holds a blank."""
        names = [f"<no-piece-{token}>" for token in range(self.size)]
        for piece, token in self._backend.get_vocab().items():
            if piece and not any(map(str.isspace, piece)):
                names[token] = piece
        return names

    @contextmanager
    def _symbols_as_text(self) -> Iterator[None]:
        self._backend.encode_special_tokens = True
        try:
            yield
        finally:
            self._backend.encode_special_tokens = False


def _refuse_missing(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the LLM's tokenizer must exist, but does not; fetch it from where the "
            "weights are from."
        )


def _load(path: Path) -> Any:
    try:
        # Not AutoTokenizer: the classes of Llama and others build a pipeline of their own.
        return PreTrainedTokenizerFast.from_pretrained(path.parent, local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare ones
        raise ValueError(
            f"{path}: the tokenizer must be one of Hugging Face's, but: {error}; fetch it again."
        ) from error
