r"""How audio embeddings line up with the transcript's token embeddings: the paper's Figure 3.

    python -m fairseq_audiochat.evaluate alignment --llm LLM --output evaluation \
        --test-set mls=data/test.tsv --end-to-end checkpoints/chat --draw 3080_5032_000000

Draws cosines of tokens and audio positions as heat maps, and measures the whole test set: do tokens
match the audio in their order, how well, and is the token itself the nearest one of the vocabulary?
Each measure stands beside its chance level, with another utterance's audio. A folder in the place
of a checkpoint means all checkpoints in it, which make a curve. A run that was killed goes on.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pyarrow.compute as pc

from fairseq_audiochat.evaluate.alignment import plot as alignment_plot
from fairseq_audiochat.evaluate.alignment import table as alignment_table
from fairseq_audiochat.evaluate.alignment.audio_text import AudioText
from fairseq_audiochat.evaluate.alignment.checkpoint_folder import with_folders_opened
from fairseq_audiochat.evaluate.alignment.cosine_record import (
    heat_map_of,
    read_cosines,
    write_cosines,
)
from fairseq_audiochat.evaluate.alignment.heat_map import draw_heat_map
from fairseq_audiochat.evaluate.alignment.records import measure_alignment
from fairseq_audiochat.evaluate.arms import END_TO_END
from fairseq_audiochat.evaluate.options import Setup, add_listening, read_setup
from fairseq_audiochat.evaluate.report_files import write_results
from fairseq_audiochat.evaluate.run_record import read_run, remember_run
from fairseq_audiochat.evaluate.speech_test_set import SpeechTestSet

RECORDS = "alignment"
"""Where the records lie in an output folder."""

_NAME_CHARACTERS = 100  # of an id in a file name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_listening(parser)
    parser.add_argument(
        "--draw",
        action="append",
        metavar="ID",
        help="utterance to draw, by its id or its row from 0; may be given several times (0)",
    )
    parser.add_argument(
        "--nearest",
        type=int,
        default=10,
        metavar="K",
        help="a token is hit 'in K' if it is among the K nearest entries of the vocabulary (10)",
    )


def run(args: argparse.Namespace) -> None:
    """Measure what is not measured yet, then write tables and pictures.

    Raises:
        ValueError: If there is no checkpoint, or ``--draw`` names no utterance.
    """
    args.end_to_end = with_folders_opened(args.end_to_end)
    _check(args)
    setup = read_setup(args)
    arms = [arm for arm in setup.arms if arm.kind == END_TO_END]
    drawn = {test_set.name: _rows(test_set, args.draw or ["0"]) for test_set in setup.test_sets}
    _refuse_unknown(args.draw or (), setup.test_sets)
    remember_run(
        setup.output,
        {
            "llm": setup.systems.describe(),
            "alignment_arms": {arm.name: arm.describe() for arm in arms},
            "test_sets": {test_set.name: test_set.describe() for test_set in setup.test_sets},
            "seed": setup.seed,
            "alignment": {"nearest": args.nearest},
        },
    )
    for arm in arms:
        space = AudioText(setup.systems.open_model(arm), setup.systems.template, args.nearest)
        for test_set in setup.test_sets:
            folder = setup.output / RECORDS / test_set.name
            _keep_cosines(space, test_set, drawn[test_set.name], folder / arm.name)
            _measure(space, setup, test_set, folder / f"{arm.name}.jsonl", arm.name)
    write_report(setup.output)


def write_report(folder: Path) -> None:
    """Tables and pictures, from an output folder's records alone; prints the tables."""
    results = alignment_table.results(folder / RECORDS, read_run(folder))
    text = alignment_table.as_text(results)
    write_results(folder, "alignment", text, results)
    alignment_plot.draw(results, folder / "alignment.png")
    for cosines in sorted((folder / RECORDS).glob("*/*/*.json")):
        draw_heat_map(read_cosines(cosines), cosines.with_suffix(".png"))


def _check(args: argparse.Namespace) -> None:
    if not args.end_to_end:
        raise ValueError(
            "--end-to-end must be given at least once, but is not; name a checkpoint of audio_chat "
            "or the folder of its training."
        )
    if args.nearest < 1:
        raise ValueError(f"--nearest must be a positive integer, but is {args.nearest}.")


def _rows(test_set: SpeechTestSet, wanted: Sequence[str]) -> list[int]:
    """The rows of utterances that are named by their ids or their rows, as far as they are here."""
    return list(dict.fromkeys(_find(test_set, wanted)))


def _find(test_set: SpeechTestSet, wanted: Sequence[str]) -> Iterator[int]:
    manifest = test_set.manifest
    for name in wanted:
        row = pc.index(manifest.ids, name).as_py()
        if row < 0 and name.isdecimal() and int(name) < len(manifest):
            row = int(name)
        if row >= 0:
            yield row


def _refuse_unknown(wanted: Sequence[str], test_sets: Sequence[SpeechTestSet]) -> None:
    for name in wanted:
        if not any(_rows(test_set, [name]) for test_set in test_sets):
            raise ValueError(
                "--draw must name an utterance by its id or its row from 0, but is "
                f"{name!r}, which {', '.join(str(test_set.path) for test_set in test_sets)} "
                "does not hold."
            )


def _keep_cosines(
    space: AudioText, test_set: SpeechTestSet, rows: Sequence[int], folder: Path
) -> None:
    for row in rows:
        utterance = test_set.manifest[row]
        path = folder / f"{row}_{quote(utterance.id, safe='')[:_NAME_CHARACTERS]}.json"
        if not path.is_file():
            write_cosines(heat_map_of(space, utterance), path)


def _measure(
    space: AudioText, setup: Setup, test_set: SpeechTestSet, path: Path, name: str
) -> None:
    measure_alignment(
        space, test_set.manifest, path, setup.batch_size, setup.num_workers, shown_as=name
    )
