"""Prints Table 2 in miniature, answers side by side and a dialogue; writes results.json.

    python examples/mini/report.py examples/mini/output --seed 1

Knows no model: it reads what the run's commands wrote.
"""

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from logs import Question, curve, read_questions, training_seconds
from world import is_right

from fairseq_audiochat.data.record_file import read
from fairseq_audiochat.evaluate.markdown import as_markdown

ARMS = {
    "reference text": "reference text",
    "end-to-end": "end-to-end",
    "cascade-longer": "cascade, CTC goes on beside the distillation",
    "cascade": "cascade, the CTC that end-to-end starts from",
    "cascade-early": "cascade, that CTC at half its updates",
    "shuffled": "end-to-end, another sentence's recording",
    "nothing in the prompt": "nothing in the prompt",
}
_FOLDERS = {"shuffled": ("control", "end-to-end")}
"""Arms that are not in ``evaluation`` under their own name."""

_TRAININGS = ("ctc", "chat", "ctc_longer")
_PACKAGES = ("torch", "fairseq-fixed", "transformers", "sentencepiece", "espeakng-loader", "numpy")


class Arm(NamedTuple):
    """What was measured behind one kind of prompt."""

    perplexity: float
    wer: float | None
    answers: list[str]


def main() -> None:
    """Read, print, write."""
    args = _parser().parse_args()
    questions = read_questions(args.output / "prompts/test.tsv")
    arms = {name: read_arm(args.output, name, questions) for name in ARMS}
    dialogues = json.loads((args.output / "dialogues.json").read_text())
    table = main_table(arms, questions)
    parts = [table, kind_table(arms, questions), side_by_side(arms, questions)]
    parts.append(dialogue_text(dialogues))
    print("\n" + "\n\n".join(parts))
    (args.output / "table.md").write_text(table + "\n")
    results = collect(args.output, arms, questions)
    results |= {"seed": args.seed, "dialogues_right": dialogues["right"]}
    path = args.output / "results.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nAll of it: {path}\nTables and pictures: {args.output}/evaluation")


def read_arm(output: Path, name: str, questions: list[Question]) -> Arm:
    """What ``evaluate perplexity`` and ``evaluate answers`` found."""
    folder, arm = _FOLDERS.get(name, ("evaluation", name))
    found = json.loads((output / folder / "perplexity.json").read_text())["mini"]["arms"][arm]
    records = read(output / folder / "answers" / "mini" / f"{arm}.jsonl")
    said = {record["id"]: record["answer"] for record in records}
    return Arm(found["perplexity"], found.get("wer"), [said[one.id] for one in questions])


def share_right(said: list[str], questions: list[Question], kind: str | None = None) -> float:
    """The share of right answers, to all questions or to those of a kind."""
    judged = [
        is_right(answer, question.answer)
        for answer, question in zip(said, questions, strict=True)
        if kind in (None, question.kind)
    ]
    return sum(judged) / len(judged)


def main_table(arms: dict[str, Arm], questions: list[Question]) -> str:
    """Table 2: a row per arm."""
    rows = [["the LLM reads", "WER %", "perplexity", "right"]]
    for name, arm in arms.items():
        wer = "" if arm.wer is None else f"{arm.wer:.1f}"
        right = f"{share_right(arm.answers, questions):.2f}"
        rows.append([ARMS[name], wer, f"{arm.perplexity:.2f}", right])
    return as_markdown(rows)


def kind_table(arms: dict[str, Arm], questions: list[Question]) -> str:
    """The share of right answers per kind of question."""
    kinds = list(dict.fromkeys(question.kind for question in questions))
    counts = [sum(question.kind == kind for question in questions) for kind in kinds]
    rows = [["right, per kind (utterances)", *(f"{k} ({n})" for k, n in zip(kinds, counts))]]
    for name, arm in arms.items():
        shares = [share_right(arm.answers, questions, kind) for kind in kinds]
        rows.append([ARMS[name], *(f"{share:.2f}" for share in shares)])
    return as_markdown(rows)


def side_by_side(arms: dict[str, Arm], questions: list[Question], count: int = 6) -> str:
    """Some answers: every n-th question, so that nobody chose them."""
    lines = []
    for index in range(0, len(questions), max(1, len(questions) // count)):
        lines.append(f"said:            {questions[index].text}")
        for name in ("reference text", "end-to-end", "cascade", "cascade-early"):
            right = is_right(arms[name].answers[index], questions[index].answer)
            lines.append(f"  {name:14} {'+' if right else '-'} {arms[name].answers[index]}")
    return "\n".join(lines)


def dialogue_text(dialogues: dict[str, Any]) -> str:
    """The first spoken dialogue, and how many second answers are right."""
    shares = ", ".join(f"{name} {share:.2f}" for name, share in dialogues["right"].items())
    turns = dialogues["dialogues"]["spoken"][0]["turns"]
    who = ("user (spoken)", "model", "user (spoken)", "model")
    lines = [f"  {speaker:14} {text}" for speaker, text in zip(who, turns, strict=True)]
    return "\n".join([f"Two turns, right second answers: {shares}. The first one:", *lines])


def collect(output: Path, arms: dict[str, Arm], questions: list[Question]) -> dict[str, Any]:
    """Everything that ``results.json`` holds about commands, machine and arms."""
    logs = output / "logs"
    kinds = dict.fromkeys(question.kind for question in questions)
    return {
        "arms": {
            name: {
                "reads": ARMS[name],
                "perplexity": arm.perplexity,
                "wer": arm.wer,
                "right": share_right(arm.answers, questions),
                "right_by_kind": {k: share_right(arm.answers, questions, k) for k in kinds},
            }
            for name, arm in arms.items()
        },
        "utterances": len(questions),
        "training": {name: training(logs / f"{name}.json") for name in _TRAININGS},
        "stage_seconds": dict(sorted(map(_stage, (output / "done").iterdir()))),
        "commands": {path.stem: _first_line(path) for path in sorted(logs.glob("*.log"))},
        "versions": {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES},
        "machine": {"cores": os.cpu_count(), "threads": os.environ.get("OMP_NUM_THREADS")},
    }


def training(path: Path) -> dict[str, float]:
    """How far and how long a training went."""
    text = path.read_text()
    losses = curve(text, "dev_loss")
    return {
        "updates": losses.updates[-1],
        "seconds": training_seconds(text),
        "best_dev_loss": min(losses.values),
    }


def _stage(path: Path) -> tuple[str, int]:
    number, title, seconds = path.read_text().rstrip("\n").split("\t")
    return f"{number}. {title}", int(seconds)


def _first_line(path: Path) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline().rstrip("\n").removeprefix("+ ")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="the run's folder")
    parser.add_argument("--seed", type=int, required=True, help="that the run was made with")
    return parser


if __name__ == "__main__":
    main()
