"""Word errors, as counts that can be summed."""

from collections.abc import Sequence
from typing import NamedTuple

import jiwer


class WordErrors(NamedTuple):
    """Substitutions, deletions and insertions, and the reference's words."""

    errors: int
    words: int


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> WordErrors:
    """Count word errors over utterances; words are what blanks separate.

    Args:
        references: Transcripts, none of them empty.
        hypotheses: What was recognised.
    """
    counts = jiwer.process_words(list(references), list(hypotheses))
    errors = counts.substitutions + counts.deletions + counts.insertions
    return WordErrors(errors, counts.hits + counts.substitutions + counts.deletions)
