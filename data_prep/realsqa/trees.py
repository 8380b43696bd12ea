"""OpenAssistant's message trees: JSON lines, plain or compressed, to one root prompt per tree.

The releases are ``*.trees.jsonl.gz`` of oasst1 and oasst2. Keys may be missing. Does not know
which prompts are wanted.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple, cast

_GZIP = b"\x1f\x8b"
_FETCH_AGAIN = "the file is broken, fetch it again"


class Root(NamedTuple):
    """The prompt that a tree begins with.

    Args:
        tree: The tree's id.
        text: As it was typed; None if the tree has no prompt.
        role: ``prompter`` or ``assistant``.
        language: BCP 47, such as ``en`` or ``pt-BR``.
        state: Of the tree, such as ``ready_for_export``; empty if it is not told.
        reviewed: Whether reviewers accepted it; None if it is not told.
        deleted: Whether it was.
        synthetic: Whether a model wrote it.
        labels: Mean of the raters, 0 to 1, by name.
    """

    tree: str
    text: str | None
    role: str = ""
    language: str = ""
    state: str = ""
    reviewed: bool | None = None
    deleted: bool = False
    synthetic: bool = False
    labels: Mapping[str, float] = MappingProxyType({})


def read_roots(path: Path) -> Iterator[Root]:
    """The roots of a file's trees, in its order.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is truncated, or a line is no tree.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the trees must exist, but do not; fetch *.trees.jsonl.gz of OpenAssistant's "
            "oasst1 or oasst2."
        )
    with _open(path) as file:
        number = 0
        try:
            for number, line in enumerate(file, start=1):
                yield _parse(line, f"{path}:{number}")
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(
                f"{path}: the trees must be readable to their end, but behind line {number}: "
                f"{error}; {_FETCH_AGAIN}."
            ) from error


def _open(path: Path) -> BinaryIO:
    with open(path, "rb") as file:
        compressed = file.read(len(_GZIP)) == _GZIP
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else open(path, "rb")


def _parse(line: bytes, place: str) -> Root:
    shown = repr(line[:80].decode(errors="replace"))
    try:
        tree = json.loads(line)
    except ValueError as error:  # of the encoding, too
        raise ValueError(
            f"{place}: a line must be a message tree in JSON, but is {shown}; {_FETCH_AGAIN}."
        ) from error
    is_tree = isinstance(tree, dict) and "message_id" not in tree
    if not is_tree or not isinstance(tree.get("message_tree_id"), str):
        raise ValueError(
            f"{place}: a line must be a message tree with 'message_tree_id' and 'prompt', but is "
            f"{shown}; use *.trees.jsonl, not *.messages.jsonl."
        )
    prompt = tree.get("prompt")
    if prompt is None:
        return Root(tree["message_tree_id"], None)
    if not isinstance(prompt, dict) or not isinstance(prompt.get("text"), str):
        raise ValueError(
            f"{place}: 'prompt' must be a message with a text, but is {str(prompt)[:80]!r} (tree "
            f"{tree['message_tree_id']!r}); {_FETCH_AGAIN}."
        )
    return _root(tree, prompt)


def _root(tree: dict[str, Any], prompt: dict[str, Any]) -> Root:
    return Root(
        tree["message_tree_id"],
        prompt["text"],
        prompt.get("role") or "",
        prompt.get("lang") or "",
        tree.get("tree_state") or "",
        prompt.get("review_result"),
        prompt.get("deleted") is True,
        prompt.get("synthetic") is True,
        _labels(prompt.get("labels")),
    )


def _labels(labels: object) -> dict[str, float]:
    items = labels.items() if isinstance(labels, dict) else ()
    values = ((name, label.get("value")) for name, label in items if isinstance(label, dict))
    return {name: float(value) for name, value in values if isinstance(value, int | float)}
