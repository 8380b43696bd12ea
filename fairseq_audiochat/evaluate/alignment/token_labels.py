"""What to write beside a token so that a reader knows which one it is, whatever the tokenizer.

A label is what the token adds to the text, as the tokenizer itself decodes it. Knows neither
SentencePiece's marks nor byte-level alphabets, and no font.
"""

from collections.abc import Sequence

from fairseq_audiochat.data.chat_template import ChatTemplate

BLANK = "·"
PART_OF_CHARACTER = "…"
_MAX_CHARACTERS = 24
_UNDECODABLE = "\N{REPLACEMENT CHARACTER}"


def token_labels(template: ChatTemplate, ids: Sequence[int]) -> list[str]:
    r"""A label for each token of a text.

    Blanks are dots, line breaks and the like are escaped (``\n``). Where several tokens make up
    one character, the last of them has it and the ones before it three dots.
    """
    pieces = template.pieces()
    labels, whole = [], ""
    for end in range(1, len(ids) + 1):
        text = template.decode(ids[:end])
        if text.endswith(_UNDECODABLE):
            labels.append(PART_OF_CHARACTER)
        elif text.startswith(whole) and text != whole:
            labels.append(_visible(text[len(whole) :].lstrip(_UNDECODABLE)))
            whole = text
        else:  # the tokenizer decodes no text for it, or changes what stands before it
            labels.append(_visible(pieces[ids[end - 1]]))
            whole = text
    return labels


def _visible(text: str) -> str:
    """Text whose blanks and line breaks can be seen, on one line."""
    shown = "".join(
        character if character.isprintable() else repr(character)[1:-1]
        for character in text.replace(" ", BLANK)
    )
    return shown if len(shown) <= _MAX_CHARACTERS else shown[: _MAX_CHARACTERS - 1] + "…"
