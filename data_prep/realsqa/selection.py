"""Which roots become prompts that people read aloud, and why the others do not.

A root meets the rules in the order of this file, and the first that it breaks counts. Does not
know how the prompts are dealt out.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from realsqa.entities import Tagger
from realsqa.speakable import why_not_speakable
from realsqa.trees import Root

MOST_CHARACTERS = 99  # the paper: under 100
DELETED = "deleted"
REFUSED = "refused by reviewers"
STATE = "tree that was not accepted"
SYNTHETIC = "written by a model"
NO_PROMPT = "no prompt of a user"
NOT_ENGLISH = "not English"
LABELLED = "not fit to be read aloud"
EMPTY = "empty text"
LONG = "100 characters or more"
NO_NAME = "no named entity"
DUPLICATE = "duplicate"

# Of the states in the releases, those whose prompt was never accepted, or later regretted.
_BAD_STATES = {"initial_prompt_review", "aborted_low_grade", "halted_by_moderator"}
# By the mean of the raters; nobody is asked to say such things.
_BAD_LABELS = ("spam", "lang_mismatch", "pii", "not_appropriate", "hate_speech", "sexual_content")
_BAD_FROM = 0.5
_BATCH = 32  # texts that a model tags at a time
_SHOWN = 200  # characters of a prompt that is left out: some are pages


class Prompt(NamedTuple):
    """A text to be read aloud.

    Args:
        tree: Where it is from.
        text: What to say, in one line.
        names: The named entities in it.
    """

    tree: str
    text: str
    names: list[str]


class LeftOut(NamedTuple):
    """A tree that gives no prompt.

    Args:
        tree: Its id.
        reason: The same for all of a kind: losses are counted by it.
        detail: What breaks the rule.
        text: Its prompt, or the beginning of a long one.
    """

    tree: str
    reason: str
    detail: str
    text: str


@dataclass
class Selection:
    """What became of all trees."""

    prompts: list[Prompt] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{len(self.prompts):,} prompts selected, {len(self.left_out):,} trees left out"]
        return "\n".join(lines + [f"{n:9,} left out: {reason}" for reason, n in self.counts()])

    def counts(self) -> list[tuple[str, int]]:
        """How many trees each reason left out, most first."""
        return Counter(row.reason for row in self.left_out).most_common()


def select(roots: Iterable[Root], tagger: Tagger) -> Selection:
    """Apply all rules.

    Args:
        roots: One per tree.
        tagger: Finds the named entities.
    """
    selection, trees = Selection(), dict[str, str]()
    passed = _follow_rules(iter(roots), selection.left_out)
    while batch := list(islice(passed, _BATCH)):
        texts = [_one_line(root) for root in batch]
        for root, text, names in zip(batch, texts, tagger(texts), strict=True):
            first = trees.get(normalise(text), "")
            if not names or first:
                reason = NO_NAME if not names else DUPLICATE
                selection.left_out.append(LeftOut(root.tree, reason, first, text))
            else:
                trees[normalise(text)] = root.tree
                selection.prompts.append(Prompt(root.tree, text, names))
    return selection


def _follow_rules(roots: Iterator[Root], left_out: list[LeftOut]) -> Iterator[Root]:
    for root in roots:
        reason, detail = _broken_rule(root)
        if reason:
            left_out.append(LeftOut(root.tree, reason, detail, _one_line(root)[:_SHOWN]))
        else:
            yield root


def _broken_rule(root: Root) -> tuple[str, str]:
    for rule in _RULES:
        reason, detail = rule(root)
        if reason:
            return reason, detail
    return "", ""


def _provenance(root: Root) -> tuple[str, str]:
    if root.text is None or root.role != "prompter":
        return NO_PROMPT, root.role
    if root.deleted:
        return DELETED, ""
    if root.reviewed is False:
        return REFUSED, ""
    if root.state in _BAD_STATES:
        return STATE, root.state
    return (SYNTHETIC, "") if root.synthetic else ("", "")


def _language(root: Root) -> tuple[str, str]:
    english = root.language.partition("-")[0] == "en"
    return ("", "") if english else (NOT_ENGLISH, root.language)


def _labels(root: Root) -> tuple[str, str]:
    for label in _BAD_LABELS:
        value = root.labels.get(label, 0.0)
        if value >= _BAD_FROM:
            return LABELLED, f"{label} {value:.2f}"
    return "", ""


def _length(root: Root) -> tuple[str, str]:
    characters = len((root.text or "").strip())
    if characters == 0:
        return EMPTY, ""
    return (LONG, str(characters)) if characters > MOST_CHARACTERS else ("", "")


def _speakable(root: Root) -> tuple[str, str]:
    return why_not_speakable((root.text or "").strip())


_RULES: tuple[Callable[[Root], tuple[str, str]], ...] = (
    _provenance,
    _language,
    _labels,
    _length,
    _speakable,
)


def _one_line(root: Root) -> str:
    return " ".join((root.text or "").split())


def normalise(text: str) -> str:
    """What two prompts must differ in: letters and digits, without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(re.sub(r"[^\w\s]|_", "", plain).split())
