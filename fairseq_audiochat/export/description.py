"""``config.json`` of an exported model: what the weights are, and which LLM they belong to.

It holds no path of the machine that wrote it. Knows no tensor.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CONFIG = "config.json"
FORMAT = "fairseq_audiochat.export"
FORMAT_VERSION = 1
_DIGEST = re.compile("[0-9a-f]{64}")

_LLM = {
    "name": str,
    "width": int,
    "chat_template": str,
    "fingerprint": {"architecture": _DIGEST, "tokenizer": _DIGEST, "embedding": _DIGEST},
}
_CONTENT = {
    "program": str,
    "architecture": str,
    "model": dict,
    "task": dict,
    "weights": {"dtype": str, "ema": bool, "parameters": int},
    "origin": {"checkpoint_sha256": _DIGEST, "updates": int},
    "files": dict,
}
_KINDS = {str: "a text", int: "a number", bool: "true or false", dict: "an object"}


@dataclass(frozen=True)
class Description:
    """What an exported model is.

    Args:
        architecture: ``audio_prefix_llm`` or ``conformer_ctc``.
        model: The fields of the model's config that decide what it computes.
        task: The fields of the task's config that decide it.
        llm: The LLM's name, width D, chat template and fingerprint; None for ``conformer_ctc``.
        weights: The dtype in which they are stored, whether they are an average over updates
            (EMA), and how many there are.
        origin: SHA-256 of the checkpoint, and its number of updates.
        files: SHA-256 of the other files of the folder, by name.
        program: The version of this package that wrote the folder.
    """

    architecture: str
    model: dict[str, Any]
    task: dict[str, Any]
    llm: dict[str, Any] | None
    weights: dict[str, Any]
    origin: dict[str, Any]
    files: dict[str, str]
    program: str

    def to_json(self) -> str:
        """The file's text."""
        content = {"format": f"{FORMAT}/{FORMAT_VERSION}", **asdict(self)}
        return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def described_by(checkpoint: Path) -> Path:
    """The file whose digest is that of all: ``config.json`` of a folder, or a checkpoint itself."""
    return checkpoint / CONFIG if checkpoint.is_dir() else checkpoint


def read_description(folder: Path) -> Description:
    """The description in a folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is broken, or of a later format.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: an exported model must have {CONFIG}, but has none; give a folder that "
            "python -m fairseq_audiochat.export wrote, or the file of a checkpoint."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: must be JSON, but: {error}; fetch the file again.") from error
    _refuse_other_format(path, content)
    _check(path, content, {**_CONTENT, "llm": _LLM if content.get("llm") else type(None)})
    return Description(**{name: content[name] for name in (*_CONTENT, "llm")})


def _refuse_other_format(path: Path, content: Any) -> None:
    stated = content.get("format") if isinstance(content, dict) else None
    match = re.fullmatch(rf"{FORMAT}/(\d+)", stated) if isinstance(stated, str) else None
    if match is None:
        raise ValueError(
            f"{path}: 'format' must be '{FORMAT}/{FORMAT_VERSION}', but is {stated!r}; give a "
            "folder that python -m fairseq_audiochat.export wrote."
        )
    if int(match[1]) > FORMAT_VERSION:
        raise ValueError(
            f"{path}: the format's version must be at most {FORMAT_VERSION}, but is {match[1]}; "
            "install a newer fairseq-audiochat."
        )


def _check(path: Path, content: dict[str, Any], kinds: dict[str, Any], within: str = "") -> None:
    """Refuse a value that is missing or of another kind."""
    for name, kind in kinds.items():
        value, place = content.get(name), within + name
        if isinstance(kind, dict):
            _refuse_unless(isinstance(value, dict), path, place, _KINDS[dict], value)
            _check(path, value or {}, kind, f"{place}.")
        elif isinstance(kind, re.Pattern):
            fits = isinstance(value, str) and kind.fullmatch(value) is not None
            _refuse_unless(fits, path, place, "a SHA-256 digest in hexadecimal", value)
        else:  # a bool is no number here
            _refuse_unless(type(value) is kind, path, place, _KINDS.get(kind, "null"), value)


def _refuse_unless(fits: bool, path: Path, place: str, rule: str, value: Any) -> None:
    if not fits:
        raise ValueError(f"{path}: {place!r} must be {rule}, but is {value!r}; fetch it again.")
