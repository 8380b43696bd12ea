r"""WER of the prompts and perplexity of the responses: the paper's Table 2.

    python -m fairseq_audiochat.evaluate perplexity --llm LLM --output evaluation \
        --test-set mls=data/test.tsv --end-to-end checkpoints/chat/checkpoint_best.pt \
        --cascade checkpoints/ctc/checkpoint_best.pt --by wer --by speaker

The same responses (those of the LLM to the reference text, SPLIT.responses.jsonl) are scored behind
the reference text, behind recordings, and behind what cascades recognise. An utterance that one arm
cannot score is left out of all of them, named and counted. A run that was killed goes on.
"""

import argparse
import json
from pathlib import Path

from fairseq_audiochat.data.responses import Responses
from fairseq_audiochat.evaluate.arms import CASCADE, Arm
from fairseq_audiochat.evaluate.options import Setup, add_setup, read_setup
from fairseq_audiochat.evaluate.perplexity import plot as perplexity_plot
from fairseq_audiochat.evaluate.perplexity import table as perplexity_table
from fairseq_audiochat.evaluate.perplexity.breakdown import check_names
from fairseq_audiochat.evaluate.perplexity.scores import score
from fairseq_audiochat.evaluate.report_files import write_results
from fairseq_audiochat.evaluate.run_record import read_run
from fairseq_audiochat.evaluate.speech_test_set import SpeechTestSet
from fairseq_audiochat.evaluate.transcripts import transcribe
from fairseq_audiochat.saving import whole_file

RECORDS = "scores"
"""Where the records lie in an output folder."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_setup(parser)
    add_report_arguments(parser)


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of them that `report` has too."""
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        help="break the result down by 'wer' (of each cascade), 'seconds', or a column of the "
        "manifest; may be given several times",
    )


def run(args: argparse.Namespace) -> None:
    """Score what is not scored yet, then write tables and pictures."""
    setup = read_setup(args)
    for test_set in setup.test_sets:
        check_names(args.by, test_set.utterances(), f"test set {test_set.name!r}")
    responses = [Responses(test.responses_path, test.manifest) for test in setup.test_sets]
    setup.remember([test.responses_path for test in setup.test_sets], perplexity={"by": args.by})
    for test_set, its_responses in zip(setup.test_sets, responses):
        setup.systems.task.check_responses(its_responses)
        write_utterances(setup.output, test_set)
        for arm in setup.arms:
            score_arm(setup, test_set, its_responses, arm)
    write_report(setup.output, args.by)


def score_arm(setup: Setup, test_set: SpeechTestSet, responses: Responses, arm: Arm) -> None:
    """Write an arm's records on a test set; a cascade first listens."""
    texts = None
    if arm.kind == CASCADE:
        path = setup.output / "transcripts" / test_set.name / f"{arm.name}.jsonl"
        texts = transcribe(
            setup.systems, arm, test_set.manifest, path, setup.batch_size, setup.num_workers
        )
    path = setup.output / RECORDS / test_set.name / f"{arm.name}.jsonl"
    score(
        setup.systems,
        arm,
        test_set.manifest,
        responses,
        path,
        setup.batch_size,
        setup.num_workers,
        texts,
    )


def write_report(folder: Path, by: "list[str] | None" = None) -> None:
    """Tables and pictures, from an output folder's records alone; prints the first table.

    Args:
        folder: The output folder.
        by: Break-downs; None for those that were asked for when it was made.
    """
    run_record = read_run(folder)
    wanted = run_record["perplexity"]["by"] if by is None else by
    results = perplexity_table.results(folder, run_record, wanted)
    text = perplexity_table.as_text(results)
    write_results(folder, "perplexity", text, results)
    perplexity_plot.draw(results, folder / "perplexity.png")


def write_utterances(folder: Path, test_set: SpeechTestSet) -> None:
    """Write what is known of a test set's utterances, for the report."""
    path = folder / "utterances" / f"{test_set.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(str(path)) as file:
        file.write(json.dumps(test_set.utterances(), ensure_ascii=False).encode())
