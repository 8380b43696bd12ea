"""Recordings of RealSQA's speakers to a manifest: every file is checked, every verdict written.

    python data_prep/collect_realsqa.py realsqa recordings manifests

reads what ``prepare_realsqa.py`` wrote to ``realsqa`` and the files
``recordings/speaker01/q0001.wav``, and writes ``manifests/realsqa.tsv`` (the good ones),
``realsqa.report.tsv`` (every file and every prompt without one) and ``realsqa.report.md``.
``realsqa.scan.jsonl`` keeps what was measured: a run that was stopped goes on, and further
recordings are added by running it again. Does not know how a recording is judged: see
realsqa/verdicts.py.
"""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

import command
from corpus import manifest_path
from manifest_script import add_arguments
from realsqa.assignment import read_attributes, read_tasks
from realsqa.collection import Verdict, collect
from realsqa.collection_report import report_markdown, summary, verdicts_tsv
from realsqa.verdicts import ACCEPTABLE

from fairseq_audiochat.data.manifest import REQUIRED_COLUMNS, Utterance, write_manifest

_COLUMNS = ("prompt", "words", "names", "digits", "sample_rate")
_TAKEN = {*REQUIRED_COLUMNS, "speaker", *_COLUMNS}


def main() -> None:
    """Run the command line."""
    command.run(_parser(), run)


def run(args: argparse.Namespace) -> None:
    """Read the assignment, judge the recordings, write."""
    tasks = read_tasks(args.prepared)
    attributes = read_attributes(args.prepared, _TAKEN)
    args.out_dir.mkdir(parents=True, exist_ok=True)
    base, accepted = args.out_dir / args.name, frozenset(args.accept)
    journal = base.with_name(f"{args.name}.scan.jsonl")
    verdicts = collect(args.recordings, tasks, journal, args.workers, accepted)
    report = base.with_name(f"{args.name}.report.md")
    _write(base.with_name(f"{args.name}.report.tsv"), verdicts_tsv(verdicts, args.recordings))
    _write(report, report_markdown(verdicts, args.recordings, args.name))
    good = [verdict for verdict in verdicts if not verdict.problems]
    if not good:
        raise ValueError(
            f"{args.recordings}: at least one recording must be good, but none of "
            f"{sum(bool(verdict.path) for verdict in verdicts)} is; {report} says why."
        )
    manifest = base.with_name(f"{args.name}.tsv")
    _write_manifest(manifest, good, attributes)
    print(f"{manifest}: {summary(verdicts)}\n{report} says what to do", flush=True)


def _write_manifest(
    path: Path, good: list[Verdict], attributes: Mapping[str, Mapping[str, str]]
) -> None:
    rows, further = [], []
    for verdict in good:
        task, measures = verdict.task, verdict.measures
        assert task is not None  # or it would not be good
        assert measures is not None
        audio = manifest_path(verdict.path, path.parent)
        id = f"{task.speaker}_{task.id}"
        rows.append(Utterance(id, audio, measures.n_frames, task.text, task.speaker))
        digits = "yes" if any(character.isdigit() for character in task.text) else "no"
        values = (task.id, len(task.text.split()), task.names, digits, measures.sample_rate)
        further.append(dict(zip(_COLUMNS, map(str, values))) | dict(_of(attributes, task.speaker)))
    columns = {name: [row[name] for row in further] for name in further[0]}
    write_manifest(path, rows, columns)


def _of(attributes: Mapping[str, Mapping[str, str]], speaker: str) -> Mapping[str, str]:
    names = next(iter(attributes.values()), {})
    return attributes.get(speaker, dict.fromkeys(names, "unknown"))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("prepared", type=Path, help="folder that prepare_realsqa.py made")
    add("recordings", type=Path, help="folder with one folder per speaker")
    add_arguments(parser)
    add("--name", default="realsqa", help="of the manifest (default: realsqa)")
    names = [name.replace(" ", "-") for name in ACCEPTABLE]
    add(
        "--accept",
        nargs="+",
        default=[],
        metavar="PROBLEM",
        type=_problem,
        help=f"keep recordings with these problems: {', '.join(names)}",
    )
    return parser


def _problem(text: str) -> str:
    name = text.replace("-", " ")
    if name not in ACCEPTABLE:
        names = ", ".join(name.replace(" ", "-") for name in ACCEPTABLE)
        raise argparse.ArgumentTypeError(f"must be one of {names}, but is {text!r}")
    return name


if __name__ == "__main__":
    main()
