"""``run.json``: what an evaluation ran on, with digests, and by which program.

An output folder is of one LLM in one dtype. Arms and test sets may be added to it later; one that
is there must still be what it was. Knows nothing of models.
"""

import contextlib
import fcntl
import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fairseq_audiochat
from fairseq_audiochat.saving import whole_file

FORMAT = "fairseq_audiochat.evaluation/1"
_PACKAGES = ("torch", "torchaudio", "fairseq-fixed", "transformers", "sentencepiece", "jiwer")
_PACKAGES_OF_EXTRAS = ("scipy", "statsmodels", "torchao")
_CHUNK_BYTES = 1 << 24
_OF_ALL = ("llm", "alignment", "answers")
_BY_NAME = ("arms", "alignment_arms", "test_sets", "distortions")


def remember_run(folder: Path, described: Mapping[str, Any]) -> dict[str, Any]:
    """Write or extend a folder's ``run.json``.

    Args:
        folder: The output folder; made if it is not there.
        described: ``llm``, ``arms``, ``test_sets`` and ``distortions`` (these by name), and
            settings under other names.

    Returns:
        All of it, with the arms and test sets that were there before.

    Raises:
        ValueError: If the folder was made with another LLM, or something of the same name was
            another thing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # commands may add to a folder side by side
        made = _extended(folder, {"format": FORMAT, **described})
        with whole_file(str(folder / "run.json")) as file:
            file.write((json.dumps(made, indent=2, ensure_ascii=False) + "\n").encode())
    return made


def read_run(folder: Path) -> dict[str, Any]:
    """What ``run.json`` of an output folder says.

    Raises:
        FileNotFoundError: If the folder is none of an evaluation.
        ValueError: If the file is of another format.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the folder of an evaluation must hold it, but does not; give the folder that "
            "was --output."
        )
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = {}
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{path}: it must be of the format {FORMAT!r}, but is not; remove it.")
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha.update(chunk)
    return sha.hexdigest()


def _extended(folder: Path, made: dict[str, Any]) -> dict[str, Any]:
    """What was there and what is new."""
    path = folder / "run.json"
    if path.exists():
        before = read_run(folder)
        _refuse_changes(path, before, made)
        made = _merged(before, made)
    return {**made, "runs": [*made.get("runs", []), _this_run()]}


def _refuse_changes(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    parts = [("", before, now)]
    parts += [(f"{part}: ", before.get(part, {}), now.get(part, {})) for part in _BY_NAME]
    changed = [
        prefix + name
        for prefix, earlier, later in parts
        for name in later
        if name in earlier and (prefix or name in _OF_ALL)
        if _differ(earlier[name], later[name])
    ]
    if changed:
        raise ValueError(
            f"{path}: an output folder must be gone on with as it was begun, but differs in "
            f"{', '.join(changed)}; give another --output, or another name."
        )


def _differ(before: Any, now: Any) -> bool:
    """Whether something became another thing: files may be moved, and files may be added."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return bool(before != now)
    common = (before.keys() & now.keys()) - {"path"}
    return any(_differ(before[name], now[name]) for name in common)


def _merged(before: Any, now: Any) -> Any:
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return now
    both = {name: _merged(before[name], now[name]) for name in before.keys() & now.keys()}
    return {**before, **now, **both}


def _this_run() -> dict[str, Any]:
    return {
        "command": sys.argv[1:],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "versions": {
            "fairseq_audiochat": fairseq_audiochat.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
            **_installed(_PACKAGES_OF_EXTRAS),
        },
    }


def _installed(packages: Iterable[str]) -> dict[str, str]:
    versions = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
