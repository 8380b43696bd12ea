"""Who reads which prompt: dealt at random, at most 200 each, as tables.

``prompts.tsv`` holds all prompts and is what later steps read; a speaker's CSV is for the speaker
alone. Does not know how a sheet is printed.
"""

import csv
import io
import random
from typing import NamedTuple

from realsqa.selection import LeftOut, Prompt

MOST_PROMPTS = 200  # per speaker (the paper)


class Line(NamedTuple):
    """A prompt with its number; ``speaker`` is empty if it is on no sheet."""

    id: str
    speaker: str
    prompt: Prompt


def deal(prompts: list[Prompt], speakers: int, most: int, seed: int) -> list[Line]:
    """Deal prompts out: nobody gets one more than another but for the remainder.

    Args:
        prompts: In the order of their numbers.
        speakers: How many.
        most: Prompts of a speaker at most.
        seed: Of who gets which.

    Returns:
        A line per prompt, in their order; ids are ``q0001`` and so on.
    """
    order = list(range(len(prompts)))
    random.Random(seed).shuffle(order)
    names = speaker_names(speakers)
    reader = {
        index: names[place % speakers] for place, index in enumerate(order[: speakers * most])
    }
    digits = max(4, len(str(len(prompts))))
    return [
        Line(f"q{index + 1:0{digits}}", reader.get(index, ""), prompt)
        for index, prompt in enumerate(prompts)
    ]


def speaker_names(speakers: int) -> list[str]:
    """``speaker01`` and so on."""
    digits = max(2, len(str(speakers)))
    return [f"speaker{number:0{digits}}" for number in range(1, speakers + 1)]


def prompts_tsv(lines: list[Line]) -> str:
    """All prompts: columns ``id text speaker names tree``."""
    rows = [
        [line.id, line.prompt.text, line.speaker, "; ".join(line.prompt.names), line.prompt.tree]
        for line in lines
    ]
    return tsv(["id", "text", "speaker", "names", "tree"], rows)


def left_out_tsv(rows: list[LeftOut]) -> str:
    """The trees that gave no prompt."""
    return tsv(list(LeftOut._fields), [list(row) for row in rows])


def tsv(header: list[str], rows: list[list[str]]) -> str:
    """Columns between tabs; a field's own tabs and line breaks become blanks."""
    lines = ["\t".join(" ".join(field.split()) for field in row) for row in [header, *rows]]
    return "\n".join(lines) + "\n"


def sheet_csv(lines: list[Line]) -> str:
    """A speaker's sheet for a spreadsheet: columns ``number file prompt``."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(["number", "file", "prompt"])
    for number, line in enumerate(lines, start=1):
        writer.writerow([number, f"{line.id}.wav", line.prompt.text])
    return text.getvalue()
