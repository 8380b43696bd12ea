r"""Spoken questions with known answers: does the LLM answer right?

    python -m fairseq_audiochat.evaluate answers --llm LLM --output evaluation \
        --test-set triviaqa=data/triviaqa.tsv --end-to-end checkpoints/chat/checkpoint_best.pt \
        --cascade checkpoints/ctc/checkpoint_best.pt

Beam search behind the reference text, behind recordings, and behind what cascades recognise. The
right answers are SPLIT.answers.jsonl's; they are judged by TriviaQA's official rules. A question
that one arm cannot answer is left out of all of them, named and counted. A run that was killed
goes on.
"""

import argparse
from pathlib import Path
from typing import Any

from fairseq_audiochat.data.question_answers import QuestionAnswers, answers_path
from fairseq_audiochat.data.record_file import read
from fairseq_audiochat.evaluate.answers import plot as answer_plot
from fairseq_audiochat.evaluate.answers import table as answer_table
from fairseq_audiochat.evaluate.answers.answering import Search, answer, by_id
from fairseq_audiochat.evaluate.arms import CASCADE, Arm
from fairseq_audiochat.evaluate.options import Setup, add_setup, read_setup
from fairseq_audiochat.evaluate.report_files import write_results
from fairseq_audiochat.evaluate.run_record import read_run
from fairseq_audiochat.evaluate.speech_test_set import SpeechTestSet
from fairseq_audiochat.evaluate.transcripts import transcribe
from fairseq_audiochat.saving import whole_file

RECORDS = "answers"
"""Where the records lie in an output folder."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_setup(parser)
    parser.add_argument("--beam", type=int, default=10, help="hypotheses of the search (10)")
    parser.add_argument(
        "--max-length",
        type=int,
        default=200,
        help="most tokens of an answer, without its end (200)",
    )


def run(args: argparse.Namespace) -> None:
    """Answer what is not answered yet, then write tables and pictures."""
    search = _search(args)
    setup = read_setup(args)
    questions = [
        QuestionAnswers(answers_path(test.path), test.manifest) for test in setup.test_sets
    ]
    setup.remember([answers_path(test.path) for test in setup.test_sets], answers=search._asdict())
    for test_set, its_questions in zip(setup.test_sets, questions):
        _write_questions(setup.output, test_set.name, its_questions)
        for arm in setup.arms:
            answer_arm(setup, test_set, arm, search)
    write_report(setup.output)


def answer_arm(setup: Setup, test_set: SpeechTestSet, arm: Arm, search: Search) -> None:
    """Write an arm's answers to a test set; a cascade first listens."""
    name = f"{test_set.name}/{arm.name}.jsonl"
    sizes = setup.batch_size, setup.num_workers
    transcripts = None
    if arm.kind == CASCADE:
        path = setup.output / "transcripts" / name
        transcribe(setup.systems, arm, test_set.manifest, path, *sizes)
        transcripts = by_id(read(path))
    path = setup.output / RECORDS / name
    answer(setup.systems, arm, test_set.manifest, search, path, *sizes, transcripts)


def write_report(folder: Path) -> None:
    """Tables and pictures, from an output folder's records alone; prints the tables."""
    found: dict[str, Any] = answer_table.results(folder, read_run(folder))
    text = answer_table.as_text(found)
    write_results(folder, "answers", text, found)
    answer_plot.draw(found, folder / "answers.png")


def _search(args: argparse.Namespace) -> Search:
    for option in ("beam", "max_length"):
        value = getattr(args, option)
        if value < 1:
            raise ValueError(
                f"--{option.replace('_', '-')} must be a positive integer, but is {value}."
            )
    return Search(args.beam, args.max_length)


def _write_questions(folder: Path, name: str, questions: QuestionAnswers) -> None:
    path = folder / "questions" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(str(path)) as file:
        file.write("".join(question.to_json() + "\n" for question in questions).encode())
