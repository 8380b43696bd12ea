r"""Perplexity and WER on distorted recordings, beside the clean ones.

    python -m fairseq_audiochat.evaluate robustness --llm LLM --output evaluation \
        --test-set mls=data/test.tsv --end-to-end checkpoints/chat/checkpoint_best.pt \
        --cascade checkpoints/ctc/checkpoint_best.pt \
        --distortion noise:10 --distortion noise:0:/path/to/musan --distortion reverb:0.6+noise:10

Recordings are distorted while they are read; nothing is written but the records. The responses
are those of Table 2; an utterance that one arm cannot score under one distortion is left out of
all. The reference text is scored once. A run that was killed goes on.
"""

import argparse
from functools import partial
from pathlib import Path

from fairseq_audiochat.data.distortion.distortion import Distortion
from fairseq_audiochat.data.distortion.specification import CLEAN, FORMS, parse_distortion
from fairseq_audiochat.data.features import read_features
from fairseq_audiochat.data.responses import Responses
from fairseq_audiochat.evaluate.arms import CASCADE, Arm
from fairseq_audiochat.evaluate.commands.perplexity import add_report_arguments, write_utterances
from fairseq_audiochat.evaluate.options import Setup, add_setup, read_setup
from fairseq_audiochat.evaluate.perplexity.breakdown import check_names
from fairseq_audiochat.evaluate.perplexity.scores import score
from fairseq_audiochat.evaluate.report_files import write_results
from fairseq_audiochat.evaluate.robustness import plot as robustness_plot
from fairseq_audiochat.evaluate.robustness import table as robustness_table
from fairseq_audiochat.evaluate.robustness.distortions import describe, folder_name
from fairseq_audiochat.evaluate.run_record import read_run
from fairseq_audiochat.evaluate.speech_test_set import SpeechTestSet
from fairseq_audiochat.evaluate.transcripts import transcribe

RECORDS = "robustness"
"""Where the records lie in an output folder: for each distortion, as those of ``perplexity``."""

DEFAULT = (
    *("noise:20", "noise:10", "noise:5", "noise:0"),
    *("speed:0.8", "speed:1.25", "reverb:0.6", "telephone"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_setup(parser)
    parser.add_argument(
        "--distortion",
        action="append",
        default=[],
        help=f"{FORMS}, or several joined by +; may be given several times ({', '.join(DEFAULT)})",
    )
    add_report_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Score what is not scored yet, then write tables and pictures."""
    distortions = _distortions(args.distortion or DEFAULT, args.seed)
    setup = read_setup(args)
    for test_set in setup.test_sets:
        check_names(args.by, test_set.utterances(), f"test set {test_set.name!r}")
    _refuse_deaf(setup)
    responses = [Responses(test.responses_path, test.manifest) for test in setup.test_sets]
    setup.remember(
        [test.responses_path for test in setup.test_sets],
        distortions={distortion.name: describe(distortion) for distortion in distortions},
        robustness={"by": args.by},
    )
    for test_set, its_responses in zip(setup.test_sets, responses):
        setup.systems.task.check_responses(its_responses)
        for distortion in distortions:
            _score(setup, test_set, its_responses, distortion)
    write_report(setup.output, args.by)


def _distortions(names: "list[str] | tuple[str, ...]", seed: int) -> list[Distortion]:
    """What is asked for, each once, behind clean recordings."""
    names = [CLEAN, *(name.strip() for name in names)]
    return [parse_distortion(name, seed) for name in dict.fromkeys(names)]


def _refuse_deaf(setup: Setup) -> None:
    if not any(arm.listens for arm in setup.arms):
        raise ValueError(
            "--end-to-end or --cascade must be given at least once, but neither is; the reference "
            "text does not depend on recordings."
        )


def _score(
    setup: Setup, test_set: SpeechTestSet, responses: Responses, distortion: Distortion
) -> None:
    """Write the records of all arms on a test set under a distortion."""
    folder = setup.output / RECORDS / folder_name(distortion.name)
    write_utterances(folder, test_set)
    for arm in setup.arms:
        if arm.listens or distortion.name == CLEAN:
            _score_arm(setup, folder, test_set, responses, arm, distortion)


def _score_arm(
    setup: Setup,
    folder: Path,
    test_set: SpeechTestSet,
    responses: Responses,
    arm: Arm,
    distortion: Distortion,
) -> None:
    read, texts = partial(read_features, distortion=distortion), None
    file = Path(test_set.name) / f"{arm.name}.jsonl"
    if arm.kind == CASCADE:
        texts = transcribe(
            setup.systems,
            arm,
            test_set.manifest,
            folder / "transcripts" / file,
            setup.batch_size,
            setup.num_workers,
            read,
        )
    score(
        setup.systems,
        arm,
        test_set.manifest,
        responses,
        folder / "scores" / file,
        setup.batch_size,
        setup.num_workers,
        texts,
        read,
        distortion.duration_factor,
    )


def write_report(folder: Path, by: "list[str] | None" = None) -> None:
    """Tables and pictures, from an output folder's records alone; prints the tables.

    Args:
        folder: The output folder.
        by: Break-downs; None for those that were asked for when it was made.
    """
    run_record = read_run(folder)
    wanted = run_record["robustness"]["by"] if by is None else by
    results = robustness_table.results(folder / RECORDS, run_record, wanted)
    text = robustness_table.as_text(results)
    write_results(folder, "robustness", text, results)
    robustness_plot.draw(results, folder / "robustness.png")
