"""The LLM's vocabulary as fairseq's search sees it: id for id, with a padding id behind.

fairseq never selects ``pad``. Llama-2 has none, and every one of its ids is real; a
dictionary that reused one, or shifted them, would change the search.
"""

from collections.abc import Sequence

from fairseq.data import Dictionary

from fairseq_audiochat.data.chat_template import ChatTemplate

_PAD_WORD = "<batch-padding>"


class LlmDictionary(Dictionary):
    """Ids 0 to V - 1 are the LLM's; id V pads batches.

    Args:
        template: The LLM's chat template, which knows its tokenizer.
        vocabulary_size: Rows of the LLM's embeddings, V.

    Raises:
        ValueError: If the tokenizer has ids that the LLM has no embedding for.
    """

    def __init__(self, template: ChatTemplate, vocabulary_size: int) -> None:
        if template.vocabulary_size > vocabulary_size:
            raise ValueError(
                f"{template.model_path}: the tokenizer must fit the LLM, but has "
                f"{template.vocabulary_size} pieces and the LLM {vocabulary_size} embeddings; use "
                "the tokenizer that belongs to it."
            )
        super().__init__(add_special_symbols=False, pad=_PAD_WORD)
        for piece in template.pieces():
            self.add_symbol(piece)
        for token_id in range(len(self), vocabulary_size):
            self.add_symbol(f"<no-piece-{token_id}>")
        self.pad_index = self.add_symbol(_PAD_WORD)
        self.eos_index = template.eos_id
        # What a tokenizer lacks is what no search can find.
        self.bos_index = self.pad_index if template.bos_id is None else template.bos_id
        self.unk_index = self.pad_index if template.unk_id is None else template.unk_id
        self.nspecial = 0
        self._template = template

    def decode(self, pieces: str) -> str:
        r"""The text of pieces as `string` joins them, on one line (``\n`` for a line break)."""
        ids = [self.index(piece) for piece in pieces.split(" ") if piece]
        return self.decode_ids([token for token in ids if token < self._template.vocabulary_size])

    def decode_ids(self, ids: Sequence[int]) -> str:
        """The text of ids, on one line."""
        return self._template.decode(ids).replace("\n", "\\n")
