r"""A page on which people judge the answers of two systems: the paper's Tables 3 and 4.

    python -m fairseq_audiochat.evaluate rating-page --output evaluation \
        --test-set triviaqa=data/triviaqa.tsv \
        --answers "ours=evaluation/answers/triviaqa/end-to-end.jsonl" \
        --answers "cascade=evaluation/answers/triviaqa/cascade.jsonl"

Draws samples at each level of the cascade's word error rate and writes, under DIR/rating/TESTSET,
page.html for the raters and key.json, which tells the systems apart and stays with you.
`ratings` reads what the raters send back.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from fairseq_audiochat.data.question_answers import answers_path
from fairseq_audiochat.evaluate.markdown import as_markdown
from fairseq_audiochat.evaluate.options import check_names, named_path
from fairseq_audiochat.evaluate.rating.answers import compare
from fairseq_audiochat.evaluate.rating.html import Screen, render
from fairseq_audiochat.evaluate.rating.key import KEY, PAGE, RECORDS, RatingKey, read_key
from fairseq_audiochat.evaluate.rating.plot import (
    make_key,
    name_of_system,
    read_cascade,
    read_systems,
)
from fairseq_audiochat.evaluate.rating.report import exclusion_notes
from fairseq_audiochat.evaluate.run_record import digest, remember_run
from fairseq_audiochat.evaluate.speech_test_set import SpeechTestSet, name_of
from fairseq_audiochat.evaluate.wer_levels import WerLevels
from fairseq_audiochat.saving import whole_file

_BYTES_PER_MB = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("--output", type=Path, required=True, help="folder of the evaluation")
    add(
        "--test-set",
        type=named_path,
        required=True,
        metavar="[NAME=]FOLDER/SPLIT.tsv",
        help="the manifest; SPLIT.answers.jsonl beside it, if there is one, holds the questions as "
        "written and the right answers",
    )
    add(
        "--answers",
        type=named_path,
        action="append",
        default=[],
        metavar="[NAME=]ARM.jsonl",
        help="answers of a system; given twice",
    )
    add(
        "--wer-of",
        type=named_path,
        metavar="[NAME=]ARM.jsonl",
        help="answers of the cascade whose word errors make the levels (that of --answers)",
    )
    add(
        "--wer-levels",
        type=float,
        nargs="+",
        default=[0.0, 30.0],
        metavar="PERCENT",
        help="upper ends of the levels but the last (0 30)",
    )
    add("--samples", type=positive_integer, default=50, help="at each level (50, as in the paper)")
    add("--seed", type=int, default=1, help="of samples, order and sides (1)")


def run(args: argparse.Namespace) -> None:
    """Draw, and write the page and its key."""
    name, path = args.test_set
    test_set = SpeechTestSet(name or name_of(path), path)
    check_names([test_set.name], "--test-set")
    folder = args.output / RECORDS / test_set.name
    levels = WerLevels(args.wer_levels)
    systems = read_systems(args.answers)
    wer_of, cascade = read_cascade(systems, args.wer_of)
    comparable = compare(systems, cascade, test_set.manifest.ids.to_pylist(), str(path))
    key = make_key(test_set, systems, comparable, wer_of, levels, args.samples, args.seed)
    _refuse_another(folder / KEY, key)
    folder.mkdir(parents=True, exist_ok=True)
    _remember(args, test_set, comparable.excluded)
    size = _write_page(folder / PAGE, key, test_set)
    key.write(folder / KEY)  # last: with it a page can be reported
    print(_summary(key, comparable.excluded))
    print(
        f"\n{folder / PAGE}: {size / _BYTES_PER_MB:.1f} MB. Give this file to the raters, and "
        f"{KEY} to none of them."
    )


def positive_integer(text: str) -> int:
    """The type of an option."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, but is {number}")
    return number


def _refuse_another(path: Path, key: RatingKey) -> None:
    """What raters may be judging stays as it is; the very same page may be written again."""
    if path.exists() and read_key(path) != key:
        raise ValueError(
            f"{path}: the page of a test set must stay what raters know, but answers, samples or "
            f"options have changed; give another --output, or remove {path.parent}."
        )


def _remember(
    args: argparse.Namespace, test_set: SpeechTestSet, excluded: Mapping[str, list[str]]
) -> None:
    files = [*args.answers, *([args.wer_of] if args.wer_of else [])]
    known = answers_path(test_set.path)
    settings = {
        "answers": [
            {"name": name_of_system(one), "path": str(one[1].resolve()), "sha256": digest(one[1])}
            for one in files
        ],
        "wer_levels": args.wer_levels,
        "samples": args.samples,
        "seed": args.seed,
        "excluded": [{"reason": reason, "ids": ids} for reason, ids in excluded.items()],
    }
    described = test_set.describe(*([known] if known.is_file() else []))
    remember_run(
        args.output,
        {"test_sets": {test_set.name: described}, RECORDS: {test_set.name: settings}},
    )


def _write_page(path: Path, key: RatingKey, test_set: SpeechTestSet) -> int:
    """Write the page; gives its size in bytes."""
    manifest = test_set.manifest
    row_of = {id: row for row, id in enumerate(manifest.ids.to_pylist())}
    screens = [
        Screen(
            recording=manifest[row_of[sample.id]].audio,
            question=sample.question,
            reference=sample.reference,
            left=sample.answer("left"),
            right=sample.answer("right"),
        )
        for sample in key.samples
    ]
    with whole_file(str(path)) as file, tqdm(total=len(screens), desc=path.name) as bar:
        for piece in render(key.page, screens):
            file.write(piece.encode())
            bar.update(min(1, bar.total - bar.n))
    return path.stat().st_size


def _summary(key: RatingKey, excluded: Mapping[str, list[str]]) -> str:
    rows = [[f"WER of {key.wer_of}", "utterances", "samples"]]
    notes = []
    for level, (label, there) in enumerate(zip(key.levels, key.available)):
        drawn = sum(sample.level == level for sample in key.samples)
        rows.append([label, str(there), str(drawn)])
        if drawn < key.wanted:
            notes.append(f"Note: {label} has {drawn} of the {key.wanted} samples asked for.")
    notes += [f"Note: {note}" for note in exclusion_notes(excluded)]
    return "\n".join([as_markdown(rows), *notes])
