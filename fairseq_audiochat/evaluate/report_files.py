"""What a report leaves behind: its text for people and its numbers for programs, each whole."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairseq_audiochat.saving import whole_file


def write_results(folder: Path, name: str, text: str, results: Mapping[str, Any]) -> None:
    """Write ``NAME.md`` and ``NAME.json``, and print the text.

    Args:
        folder: The output folder.
        name: Of the report.
        text: In Markdown.
        results: Every number of it.
    """
    numbers = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    for suffix, content in (("md", text), ("json", numbers)):
        with whole_file(str(folder / f"{name}.{suffix}")) as file:
            file.write(content.encode())
    print(text)
