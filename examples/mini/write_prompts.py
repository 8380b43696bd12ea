"""Writes the miniature's prompts as TSV files, ready to be spoken.

    python examples/mini/write_prompts.py --output-dir prompts

``train.tsv``, ``dev.tsv``, ``test.tsv``: one turn each, columns ``id text kind answer``; beside the
last one ``test.answers.jsonl``, as ``evaluate answers`` reads it.
``words.tsv``: random words of the world, for CTC only: from sentences alone it learns the
carriers by heart and misses the content. ``dialogues.tsv``: two turns, ``<id>-turn-1`` and
``<id>-turn-2``; the second answer needs the first turn. Knows no voices: a sentence that
occurs twice is meant to be spoken by two of them.
"""

import argparse
import json
import random
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from world import FULL_KINDS, QUICK_KINDS, Prompt, follow_ups, plain, prompts, words

Row = tuple[str, str, str, str]

_WORDS_IN_A_LIST = (3, 5)


def main() -> None:
    """Write all five files."""
    args = _parser().parse_args()
    kinds = FULL_KINDS if args.full else QUICK_KINDS
    everything = prompts(kinds)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", args.train), ("dev", args.dev), ("test", args.test)):
        held = [prompt for prompt in everything if prompt.split == split]
        rows = list(single_turns(held, split, count, args.seed))
        _write(args.output_dir / f"{split}.tsv", rows)
        if split == "test":
            _write_answers(args.output_dir / "test.answers.jsonl", rows)
    _write(args.output_dir / "words.tsv", word_lists(words(kinds), args.words, args.seed))
    _write(args.output_dir / "dialogues.tsv", dialogues(everything, args.dialogues, args.seed))


def single_turns(held: list[Prompt], split: str, count: int, seed: int) -> Iterator[Row]:
    """``count`` prompts of one split: each once before any comes twice."""
    choose = random.Random(seed)
    for number in range(count):
        if number % len(held) == 0:
            order = choose.sample(held, len(held))
        yield _row(f"{split}-{number:05d}", order[number % len(held)])


def word_lists(vocabulary: list[str], count: int, seed: int) -> Iterator[Row]:
    """``count`` lists of random words."""
    choose = random.Random(seed)
    for number in range(count):
        chosen = choose.sample(vocabulary, choose.randint(*_WORDS_IN_A_LIST))
        yield f"words-{number:05d}", " ".join(chosen), "words", ""


def dialogues(everything: list[Prompt], count: int, seed: int) -> Iterator[Row]:
    """Up to ``count`` dialogues, both turns of them held out."""
    pairs = [
        (first, second)
        for first in everything
        if first.split == "test"
        for second in follow_ups(first)
        if second.split == "test"
    ]
    random.Random(seed).shuffle(pairs)
    for number, (first, second) in enumerate(islice(pairs, count)):
        yield _row(f"dialogue-{number:04d}-turn-1", first)
        yield _row(f"dialogue-{number:04d}-turn-2", second)


def _row(name: str, prompt: Prompt) -> Row:
    return name, prompt.text, prompt.topic.kind, plain(prompt.topic.answer)


def _write(path: Path, rows: Iterable[Row]) -> None:
    rows = list(rows)
    lines = ["\t".join(row) for row in [("id", "text", "kind", "answer"), *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path}: {len(rows)} prompts, {len({text for _, text, _, _ in rows})} different")


def _write_answers(path: Path, rows: list[Row]) -> None:
    lines = [
        json.dumps({"id": name, "question": text, "answers": [answer]})
        for name, text, _, answer in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output-dir", type=Path, required=True, help="folder for the TSV files")
    add("--full", action="store_true", help="arithmetic and summaries too")
    add("--train", type=int, default=2500, help="prompts to train on (default: 2500)")
    add("--dev", type=int, default=160, help="held-out prompts to choose by (default: 160)")
    add("--test", type=int, default=320, help="held-out prompts to report (default: 320)")
    add("--words", type=int, default=500, help="lists of random words (default: 500)")
    add("--dialogues", type=int, default=60, help="two-turn test dialogues (default: 60)")
    add("--seed", type=int, default=1, help="of the order and of the random words (default: 1)")
    return parser


if __name__ == "__main__":
    main()
