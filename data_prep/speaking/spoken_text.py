"""From text as it is written to what a voice says, and to its transcript. English.

Does not know who speaks.
"""

import html
import re
import unicodedata

from speaking.abbreviations import expand
from speaking.number_words import in_words

_MIXED_FRACTION = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")
_BLANKED = re.compile(r"_+(?:[ -]_+)*")  # what a question leaves to fill in
_UNSPOKEN = re.compile(r"[^\w\s'’.,;:?!()\"“”-]|_")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


def spoken_text(written: str) -> str:
    """What a voice says: numbers and abbreviations in words, with the punctuation that it heeds."""
    text = html.unescape(written)
    text = unicodedata.normalize("NFKC", _MIXED_FRACTION.sub(" and ", text)).replace("⁄", "/")
    text = _BLANKED.sub(" blank ", " ".join(text.split()))
    text = _UNSPOKEN.sub(" ", in_words(expand(text)))
    text = " ".join(text.split())
    return re.sub(r" (?=[.,;:?!)])", "", text)


def transcript(spoken: str) -> str:
    """The words of a spoken text as speech corpora write them: lower case, no punctuation."""
    return " ".join(_WORD.findall(spoken.lower().replace("’", "'")))
