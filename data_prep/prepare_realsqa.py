"""Scripts for speakers from OpenAssistant's trees: questions to be recorded by people (RealSQA).

    python data_prep/prepare_realsqa.py 2023-04-12_oasst_ready.trees.jsonl.gz realsqa \
        --speakers 5 --ner-model bert-base-NER

selects English root prompts with at least one named entity, under 100 characters, that everybody
would read aloud in the same way. The folder ``realsqa`` appears whole: ``prompts.tsv`` (what is
read, and by whom), ``left_out.tsv`` (every other tree, with the reason), ``sheets/speaker01.csv``
and ``.html`` (to print), ``speakers.tsv`` (to be filled in) and ``selection.json`` (how it was
made). Does not know the recordings: see collect_realsqa.py.
"""

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import command
from command import positive_integer
from realsqa.entities import CAPITALS, Tagger, capitalised_names, load_tagger
from realsqa.selection import Selection, select
from realsqa.sheet_page import sheet_html
from realsqa.sheets import (
    MOST_PROMPTS,
    Line,
    deal,
    left_out_tsv,
    prompts_tsv,
    sheet_csv,
    speaker_names,
    tsv,
)
from realsqa.trees import Root, read_roots
from tqdm import tqdm

ATTRIBUTES = ("accent", "microphone", "room")  # what results may be broken down by


def main() -> None:
    """Run the command line."""
    command.run(_parser(), prepare)


def prepare(args: argparse.Namespace) -> None:
    """Read, select, deal, write."""
    out = args.out_dir
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(
            f"{out}: the output must be a new folder, because speakers may have the sheets in it, "
            "but it exists; name another one, or remove it."
        )
    name, tagger = _tagger(args.ner_model)
    selection = select(_read(args.trees), tagger)
    if not selection.prompts:
        reasons = ", ".join(f"{count} {reason}" for reason, count in selection.counts())
        raise ValueError(
            f"At least one tree must give a prompt, but none of {len(selection.left_out)} does"
            f"{': ' + reasons if reasons else ''}."
        )
    lines = deal(selection.prompts, args.speakers, args.prompts_per_speaker, args.seed)
    _write(out, lines, selection, args, name)
    _report(lines, selection, args, name)


def _tagger(folder: Path | None) -> tuple[str, Tagger]:
    if folder is None:
        return CAPITALS, capitalised_names
    return str(folder), load_tagger(folder)


def _read(paths: list[Path]) -> Iterator[Root]:
    for path in paths:
        yield from tqdm(read_roots(path), desc=path.name, unit="tree", mininterval=1)


def _write(
    out: Path, lines: list[Line], selection: Selection, args: argparse.Namespace, tagger: str
) -> None:
    """Beside it first: a folder that is there is whole."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "sheets").mkdir(parents=True)
    _text(partial / "prompts.tsv", prompts_tsv(lines))
    _text(partial / "left_out.tsv", left_out_tsv(selection.left_out))
    _text(partial / "selection.json", json.dumps(_record(selection, args, tagger), indent=2) + "\n")
    speakers = speaker_names(args.speakers)
    _text(
        partial / "speakers.tsv",
        tsv(["speaker", *ATTRIBUTES], [[name] + [""] * len(ATTRIBUTES) for name in speakers]),
    )
    for speaker in speakers:
        sheet = [line for line in lines if line.speaker == speaker]
        if sheet:
            # Spreadsheets take a CSV for UTF-8 where it begins with a mark.
            _text(partial / "sheets" / f"{speaker}.csv", "\ufeff" + sheet_csv(sheet))
            _text(partial / "sheets" / f"{speaker}.html", sheet_html(speaker, sheet))
    os.replace(partial, out)


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")


def _record(selection: Selection, args: argparse.Namespace, tagger: str) -> dict[str, object]:
    return {
        "named_entities": tagger,
        "trees": [{"file": path.name, "sha256": _digest(path)} for path in args.trees],
        "speakers": args.speakers,
        "prompts_per_speaker": args.prompts_per_speaker,
        "seed": args.seed,
        "prompts": len(selection.prompts),
        "left_out": dict(selection.counts()),
    }


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _report(lines: list[Line], selection: Selection, args: argparse.Namespace, tagger: str) -> None:
    dealt = sum(bool(line.speaker) for line in lines)
    readers = len({line.speaker for line in lines} - {""})
    print(f"named entities by: {tagger}")
    print(selection)
    print(f"{dealt:,} prompts on {readers} sheets in {args.out_dir / 'sheets'}", end="")
    print(f", {len(lines) - dealt:,} on none" if dealt < len(lines) else "", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("trees", type=Path, nargs="+", help="*.trees.jsonl, plain or .gz, of oasst1 or oasst2")
    add("out_dir", type=Path, help="folder to make")
    add("--speakers", type=positive_integer, required=True, help="how many sheets")
    add(
        "--prompts-per-speaker",
        type=_prompts_per_speaker,
        default=MOST_PROMPTS,
        help=f"at most so many (default, and most: {MOST_PROMPTS})",
    )
    add("--ner-model", type=Path, help="folder of a model for named entities; default: a rule")
    add("--seed", type=int, default=1, help="of who reads what (default: 1)")
    return parser


def _prompts_per_speaker(text: str) -> int:
    number = positive_integer(text)
    if number > MOST_PROMPTS:
        raise argparse.ArgumentTypeError(f"must be at most {MOST_PROMPTS}, but is {number}")
    return number


if __name__ == "__main__":
    main()
