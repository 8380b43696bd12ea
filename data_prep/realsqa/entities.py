"""Which names a text holds: by a model for token classification, or by a plain rule.

The rule takes capitalised words that do not begin a sentence. It needs no model, misses names
that begin a sentence or are written small, and takes other capitalised words (German, Internet)
for names. Does not know what the texts are for.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

CAPITALS = "capitalised words that do not begin a sentence"

Tagger = Callable[[list[str]], list[list[str]]]
"""From texts to the names in each."""

_APOSTROPHE, _QUOTES = "'\u2019", "\"'\u2018\u2019\u201c\u201d"
_WORD = re.compile(rf"(?<!\w)[^\W\d_](?:[\w{_APOSTROPHE}&-]*\w)?")
_SENTENCE_ENDS = re.compile(rf"[.?!:\u2026][{_QUOTES})]*\s+[{_QUOTES}(]*$")
_TITLE = re.compile(r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs)\.\s+$")  # no end of a sentence
_I = re.compile(rf"I(?:[{_APOSTROPHE}](?:m|d|ll|ve|s|re))?")
_POSSESSIVE = re.compile(rf"[{_APOSTROPHE}]s$")
_TITLE_WORDS = 3  # so many capitalised words and no other: a title or shouting, no names
# What OntoNotes tags beside names, and CoNLL does not.
_NO_NAMES = {"DATE", "TIME", "PERCENT", "MONEY", "QUANTITY", "ORDINAL", "CARDINAL"}


def capitalised_names(texts: list[str]) -> list[list[str]]:
    """Names by the rule; words side by side are one name."""
    return [_names_of(text) for text in texts]


def _names_of(text: str) -> list[str]:
    words = list(_WORD.finditer(text))
    capitals = [word for word in words if word[0][0].isupper() and not _I.fullmatch(word[0])]
    if len(capitals) == len(words) > _TITLE_WORDS:
        return []
    spans: list[tuple[int, int]] = []
    for word in capitals:
        if _begins_sentence(text, word.start()):
            continue
        if spans and text[spans[-1][1] : word.start()] == " ":
            spans[-1] = (spans[-1][0], word.end())
        else:
            spans.append(word.span())
    return [_POSSESSIVE.sub("", text[start:end]) for start, end in spans]


def _begins_sentence(text: str, start: int) -> bool:
    before = text[:start]
    if not re.search(r"\w", before):
        return True
    return bool(_SENTENCE_ENDS.search(before)) and not _TITLE.search(before)


def load_tagger(folder: Path) -> Tagger:
    """A model for token classification (named entities), with its tokenizer, from a folder.

    Args:
        folder: As ``save_pretrained`` writes it; nothing is looked up elsewhere.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its model is of another kind, or marks nothing as no name.
    """
    _check(folder)
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    model = AutoModelForTokenClassification.from_pretrained(folder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tag = pipeline(
        "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple"
    )

    def names(texts: list[str]) -> list[list[str]]:
        return [_names_in(text, spans) for text, spans in zip(texts, tag(texts), strict=True)]

    return names


def _names_in(text: str, spans: Iterable[dict[str, Any]]) -> list[str]:
    return [
        text[span["start"] : span["end"]].strip()
        for span in spans
        if str(span["entity_group"]).upper() not in _NO_NAMES
    ]


def _check(folder: Path) -> None:
    """A model without a head for tags would get a random one, with a warning only."""
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: --ner-model must be the folder of a model, but this file does not exist; "
            "without --ner-model a plain rule finds the names."
        )
    config = json.loads(path.read_text(encoding="utf-8"))
    architectures = config.get("architectures") or []
    if not any(name.endswith("ForTokenClassification") for name in architectures):
        raise ValueError(
            f"{path}: --ner-model must be a model for token classification, but is "
            f"{', '.join(architectures) or 'without architectures'}."
        )
    labels = list(config.get("id2label", {}).values())
    if "O" not in labels:
        raise ValueError(
            f"{path}: the labels must hold 'O', for what is no name, but are "
            f"{', '.join(labels) or 'none'}; use a model that was trained for named entities."
        )
