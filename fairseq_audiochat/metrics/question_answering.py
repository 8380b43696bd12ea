"""Answers to questions against all spellings of the right one, by TriviaQA's official rules.

The rules are those of TriviaQA's evaluation script (Joshi et al. 2017), written anew. A chat LLM
answers in sentences, which are hardly ever exactly an alias: therefore also whether one occurs in
them. Knows no file.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

# The quotes are TriviaQA's additions to SQuAD's rules; each character becomes a blank.
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


class AnswerScore(NamedTuple):
    """How good one answer is; each is the best over all aliases.

    Args:
        exact: Whether the normalised answer is an alias.
        f1: Of the answer's tokens and an alias's, 0 to 1.
        occurs: Whether an alias stands in the answer, as whole tokens.
    """

    exact: bool
    f1: float
    occurs: bool


def normalise_answer(text: str) -> str:
    """Lower case without punctuation and articles; tokens are separated by one blank.

    Underscores are punctuation and become blanks like the rest. Articles go when the punctuation
    is gone, so that "U.S.A." gives "u s".
    """
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def score_answer(answer: str, aliases: Sequence[str]) -> AnswerScore:
    """Score an answer.

    Args:
        answer: What was answered; may be empty.
        aliases: The right answer's spellings, at least one; normalised or not.
    """
    tokens = normalise_answer(answer).split()
    right = [normalise_answer(alias).split() for alias in aliases]
    return AnswerScore(
        exact=any(tokens == alias for alias in right),
        f1=max(_f1(tokens, alias) for alias in right),
        occurs=any(_occurs(alias, tokens) for alias in right),
    )


def _f1(answer: list[str], alias: list[str]) -> float:
    """Harmonic mean of precision and recall: 2 common / (answer + alias), in tokens."""
    common = (Counter(answer) & Counter(alias)).total()
    return 2 * common / (len(answer) + len(alias)) if common else 0.0


def _occurs(alias: list[str], answer: list[str]) -> bool:
    """An alias that is nothing but articles and punctuation occurs nowhere."""
    return bool(alias) and f" {' '.join(alias)} " in f" {' '.join(answer)} "
