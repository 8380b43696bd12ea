"""Message trees as OpenAssistant releases them: keys without a value are missing."""

import gzip
import json
from pathlib import Path
from typing import Any

LABELS = ["spam", "lang_mismatch", "pii", "not_appropriate", "hate_speech", "sexual_content"]


def message(id: str, text: str, role: str = "prompter", **changes: Any) -> dict[str, Any]:
    """A message; a change to None removes the key."""
    whole = {
        "message_id": id,
        "user_id": "c3fe8c76",
        "created_date": "2023-02-05T14:23:50.983374+00:00",
        "text": text,
        "role": role,
        "lang": "en",
        "review_count": 3,
        "review_result": True,
        "deleted": False,
        "synthetic": False,
        "emojis": {"+1": 10, "_skip_reply": 1},
        "replies": [],
        "labels": {label: {"value": 0.0, "count": 3} for label in [*LABELS, "quality"]},
        "detoxify": {"toxicity": 0.0004, "insult": 0.0003},
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


def tree(id: str, text: str, state: str = "ready_for_export", **changes: Any) -> dict[str, Any]:
    """A tree of a prompt with one answer, which is what must not be read for a prompt."""
    answer = message(f"{id}-a", "It is in Rome.", "assistant", parent_id=id, rank=0)
    root = message(id, text, replies=[answer], **changes)
    return {"message_tree_id": id, "tree_state": state, "prompt": root}


def write_trees(path: Path, trees: list[dict[str, Any]]) -> Path:
    """JSON lines, compressed where the name says so."""
    content = "".join(json.dumps(tree) + "\n" for tree in trees).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path
