r"""Is the LLM's ability on text untouched? Its logits and weights against those of the bare LLM.

    python -m fairseq_audiochat.evaluate text-ability --llm LLM --output evaluation \
        --end-to-end checkpoints/chat/checkpoint_best.pt

transformers loads the LLM by itself and reads texts, each in the chat prompt. Then the checkpoint
is loaded around the LLM, which reads them before and after audio ran through the whole model. All
logits and weights must be equal bit by bit; the exit code is 1 if anything differs.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.evaluate.arms import END_TO_END, Arm, Systems
from fairseq_audiochat.evaluate.markdown import as_markdown
from fairseq_audiochat.evaluate.options import add_llm, read_device
from fairseq_audiochat.evaluate.report_files import write_results
from fairseq_audiochat.evaluate.run_record import read_run, remember_run
from fairseq_audiochat.evaluate.text_ability.bare_llm import Behaviour, behaviour, load_bare_llm
from fairseq_audiochat.evaluate.text_ability.comparison import IDENTICAL, compare
from fairseq_audiochat.modules.meta_format import is_meta_format
from fairseq_audiochat.saving import whole_file

RECORDS = "text_ability"
"""Where the records lie in an output folder."""

_RECORD = "comparisons.json"
_TEXTS = (
    "what is the capital of France",
    "Write a poem of four lines about the sea.",
    "How many legs do three spiders have together? Think step by step.",
    "Translate into German: the train leaves at half past seven.",
    "def factorial(n):",
    "é, ü, 你好",
    "the " * 40,
)
_BARE = "transformers' own model of the folder"
_BARE_OF_META = (
    "transformers' own Llama with its own attention. transformers cannot read Meta's files, so its "
    "weights were read by this package, and their reading is not compared"
)
_SHOWN_CHARACTERS = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_llm(parser)
    add = parser.add_argument
    add(
        "--end-to-end",
        type=Path,
        required=True,
        metavar="CHECKPOINT",
        help="of audio_chat, loaded around the LLM",
    )
    add("--texts", type=Path, metavar="FILE", help="a text in each line (seven of our own)")
    add("--output", type=Path, required=True, help="folder for records and the table")


def run(args: argparse.Namespace) -> int:
    """Compare, print and write a table; gives 1 if anything differs."""
    systems = Systems(args.llm, args.llm_dtype, "none", read_device(args))
    arm = Arm(str(args.end_to_end), END_TO_END, args.end_to_end)
    described = arm.describe()
    texts = list(_TEXTS) if args.texts is None else read_texts(args.texts)
    prompts = [systems.template.prompt(Conversation.of_text(text)) for text in texts]
    bare = _bare_behaviour(systems, prompts)  # first, so that one LLM is in memory at a time
    _refuse_long(prompts, texts, systems.llm.max_positions)
    remember_run(args.output, {"llm": systems.describe(), "text_ability": {"arm": described}})
    found = compare(systems, systems.open_model(arm), bare, texts, prompts)
    results = {
        "compared_with": _BARE_OF_META if is_meta_format(args.llm) else _BARE,
        "identical": all(one.before == one.after == IDENTICAL for one in found),
        "weights_sha256": bare.weights,
        "comparisons": [one._asdict() for one in found],
    }
    _write(args.output / RECORDS / _RECORD, json.dumps(results, ensure_ascii=False))
    write_report(args.output)
    return 0 if results["identical"] else 1


def write_report(folder: Path) -> None:
    """The table, from an output folder's records alone; prints it."""
    read_run(folder)
    results = json.loads((folder / RECORDS / _RECORD).read_text(encoding="utf-8"))
    write_results(folder, "text_ability", as_text(results), results)


def as_text(results: Mapping[str, Any]) -> str:
    """The report in Markdown."""
    verdict = (
        "Nothing differs: every logit and every weight is the same, bit by bit."
        if results["identical"]
        else "WARNING: the LLM within the model is not the bare LLM."
    )
    rows = [["text", "tokens", "before audio", "after audio"]]
    for one in results["comparisons"]:
        shown = one["what"].strip()[:_SHOWN_CHARACTERS]
        rows.append([shown, str(one["tokens"] or ""), one["before"], one["after"]])
    weights = results["weights_sha256"][:12]
    against = f"Compared with {results['compared_with']} (weights {weights})."
    return "\n\n".join(["## Text ability", f"{verdict} {against}", as_markdown(rows)]) + "\n"


def read_texts(path: Path) -> list[str]:
    """The lines of a file that are not blank.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no text.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{path}: --texts must have a text in some line, but has none.")
    return lines


def _bare_behaviour(systems: Systems, prompts: Sequence[Sequence[int]]) -> Behaviour:
    dtype = getattr(torch, systems.dtype)
    return behaviour(load_bare_llm(systems.path, dtype).to(systems.device), prompts)


def _refuse_long(prompts: Sequence[Sequence[int]], texts: Sequence[str], positions: int) -> None:
    for text, prompt in zip(texts, prompts):
        if len(prompt) > positions:
            raise ValueError(
                f"--texts: the prompt of a text must fit into the LLM's {positions} positions, but "
                f"has {len(prompt)} ({text[:_SHOWN_CHARACTERS]!r}); shorten it."
            )


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(str(path)) as file:
        file.write(content.encode())
