"""What the LLM answered, at a glance: Markdown on the standard output.

    python data_prep/report_responses.py data/train.tsv
    python data_prep/report_responses.py data/train.tsv --output report

Numbers, what was excluded, the most frequent openings ("I apologize for ..."), and random pairs
of transcript and response, as in the paper's Table 1: read them before you train. With
``--output`` also ``report.md`` and ``lengths.png`` in that folder. Judges nothing.
"""

import argparse
import random
from array import array
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import command
import numpy as np
from answering.shard import whole_path

from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.response_record import Response, read_records
from fairseq_audiochat.data.responses import Responses

_OPENING_WORDS = 3
_OPENINGS = 15
_BINS = 60


class Statistics(NamedTuple):
    """What is counted over all responses.

    Args:
        lengths: By how responses ended, their tokens; excluded ones are not among them.
        excluded: Responses by the reason why they are excluded.
        openings: Responses by their first words.
    """

    lengths: dict[str, "array[int]"]
    excluded: Counter[str]
    openings: Counter[str]


def main() -> None:
    """Run the command line."""
    command.run(_parser(), report)


def report(args: argparse.Namespace) -> None:
    """Count, print, draw."""
    manifest = Manifest(args.manifest)
    path = whole_path(args.manifest)
    responses = Responses(path, manifest)
    statistics = count(read_records(path))
    lines = [f"# {path.name}", "", *summary(statistics)]
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        draw(statistics, args.output / "lengths.png")
        lines += ["", "![Lengths of the responses](lengths.png)"]
    lines += ["", *openings(statistics), "", *pairs(manifest, responses, args.pairs, args.seed)]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if args.output is not None:
        (args.output / "report.md").write_text(text, encoding="utf-8")


def count(records: Iterable[Response]) -> Statistics:
    """Go through all responses once."""
    statistics = Statistics({"eos": array("I"), "length": array("I")}, Counter(), Counter())
    for record in records:
        if record.excluded:
            statistics.excluded[record.excluded] += 1
            continue
        statistics.lengths[record.ended].append(len(record.response))
        statistics.openings[" ".join(record.text.split()[:_OPENING_WORDS])] += 1
    return statistics


def summary(statistics: Statistics) -> list[str]:
    """The numbers."""
    by_eos, by_length = (np.array(statistics.lengths[how]) for how in ("eos", "length"))
    lengths = np.concatenate((by_eos, by_length)).astype(np.int64)
    excluded = sum(statistics.excluded.values())
    rows = [("responses", f"{len(lengths):,}"), ("tokens", f"{lengths.sum():,}")]
    if len(lengths):
        quantiles = np.quantile(lengths, (0, 0.5, 0.95, 1))
        rows += [
            ("tokens each, mean", f"{lengths.mean():.1f}"),
            ("shortest, median, 95 %, longest", ", ".join(f"{value:.0f}" for value in quantiles)),
            ("ended by length", _share(len(by_length), len(lengths))),
        ]
    rows.append(("excluded", _share(excluded, excluded + len(lengths))))
    rows += [(f"- {reason}", f"{n:,}") for reason, n in statistics.excluded.most_common()]
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]


def openings(statistics: Statistics) -> list[str]:
    """The most frequent first words."""
    total = statistics.openings.total()
    lines = [f"## First {_OPENING_WORDS} words", "", "| opening | responses |", "|---|---|"]
    for opening, n in statistics.openings.most_common(_OPENINGS):
        lines.append(f"| {_cell(opening) or '(empty)'} | {_share(n, total)} |")
    return lines


def pairs(manifest: Manifest, responses: Responses, number: int, seed: int) -> list[str]:
    """Random transcripts beside their responses; three dots where a response was cut."""
    rows = random.Random(seed).sample(range(len(manifest)), min(number, len(manifest)))
    lines = [
        f"## {len(rows)} pairs, drawn with seed {seed}",
        "",
        "| utterance | prompt | response |",
        "|---|---|---|",
    ]
    for row in sorted(rows):
        utterance, response = manifest[row], responses[row]
        answer = _cell(response.text) + (" ..." if response.ended == "length" else "")
        if response.excluded:
            answer += f" *(excluded: {response.excluded})*"
        lines.append(f"| {_cell(utterance.id)} | {_cell(utterance.text)} | {answer.strip()} |")
    return lines


def draw(statistics: Statistics, path: Path) -> None:
    """A histogram of the lengths, by how the responses ended.

    Raises:
        ModuleNotFoundError: If matplotlib is missing.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "--output draws a picture with matplotlib, but it is not installed; "
            "pip install 'fairseq-audiochat[plot]'."
        ) from error
    mpl.use("agg")
    import matplotlib.pyplot as plt

    style = {"axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left"}
    with plt.rc_context({"font.size": 9, "axes.titlesize": 10, "legend.frameon": False, **style}):
        figure, axes = plt.subplots(figsize=(6, 3), dpi=110, layout="constrained")
        axes.hist(
            [statistics.lengths["eos"], statistics.lengths["length"]],
            bins=_BINS,
            stacked=True,
            color=["#2a6fbb", "#d9772b"],
            label=["ended by itself", "cut by its limit"],
        )
        axes.set_title("Lengths of the responses")
        axes.set_xlabel("tokens")
        axes.set_ylabel("responses")
        axes.legend()
        axes.grid(alpha=0.25)
        figure.savefig(path)
        plt.close(figure)


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / max(1, whole):.1f} %)"


def _cell(text: str) -> str:
    """Text in a cell of a Markdown table."""
    for character in "\\`*_|<>[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("manifest", type=Path, help="SPLIT.tsv; reads SPLIT.responses.jsonl")
    add("--pairs", type=command.positive_integer, default=10, help="shown (default: 10)")
    add("--seed", type=int, default=1, help="of the pairs (default: 1)")
    add("--output", type=Path, metavar="DIR", help="folder of report.md and lengths.png")
    return parser


if __name__ == "__main__":
    main()
