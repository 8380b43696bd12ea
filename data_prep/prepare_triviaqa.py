"""TriviaQA as spoken questions: recordings, their manifest, and the right answers.

    python data_prep/prepare_triviaqa.py unfiltered-web-dev.json data --split triviaqa
    python data_prep/prepare_triviaqa.py unfiltered-web-dev.json data --split triviaqa \
        --endpoint http://localhost:8880/v1 --model kokoro --voices af_heart,bm_george
    python data_prep/prepare_triviaqa.py unfiltered-web-dev.json data --split triviaqa \
        --command 'piper --model en_GB-alan-medium.onnx --output_file {output}'

writes ``data/triviaqa/<id>.flac``, ``data/triviaqa.tsv`` (``tgt_text``: the spoken words) and
``data/triviaqa.answers.jsonl`` (the question as written, and the aliases of its answer). What could
not be asked is in ``data/triviaqa.left_out.tsv`` with its reason. The same command again goes on
where it was stopped. Does not know how an answer is judged.
"""

import argparse
import os
import random
from collections.abc import Sequence
from pathlib import Path

import command
from corpus import Entry, LeftOut, Split, prepare
from manifest_script import add_arguments
from speaking import arguments
from speaking.engine import SpeakingEngine
from speaking.recorder import Prompt, record, replaces
from speaking.spoken_text import spoken_text, transcript
from speaking.styles import Styles
from triviaqa import TriviaQuestion, read_questions

from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.question_answers import Question, answers_path

UNSPOKEN = "question that could not be spoken"
NO_WORDS = "question without words"


def main() -> None:
    """Run the command line."""
    command.run(parser(), prepare_triviaqa)


def prepare_triviaqa(args: argparse.Namespace) -> Path:
    """Speak the questions; gives the manifest's path."""
    styles = arguments.build_styles(args)
    questions = read_questions(args.triviaqa)
    usable = [question for question in questions if not question.unusable]
    asked = _draw(usable, args.sample, args.seed)
    print(
        f"{args.triviaqa}: {len(questions):,} questions, {len(usable):,} can be asked, "
        f"{len(asked):,} are",
        flush=True,
    )
    prompts = [_prompt(question, styles, args.out_dir / args.split) for question in asked]
    left_out = [LeftOut(q.id, "", q.unusable, q.text) for q in questions if q.unusable]
    return _speak(asked, prompts, left_out, styles, args)


def _draw(questions: list[TriviaQuestion], number: int | None, seed: int) -> list[TriviaQuestion]:
    """A random sample, in the file's order; a larger one holds all of a smaller one."""
    order = list(range(len(questions)))
    random.Random(seed).shuffle(order)
    return [questions[place] for place in sorted(order[:number])]


def _prompt(question: TriviaQuestion, styles: Styles, folder: Path) -> Prompt:
    path = folder / f"{question.id}.flac"
    return Prompt(question.id, spoken_text(question.text), styles.of(question.id), path)


def _speak(
    asked: Sequence[TriviaQuestion],
    prompts: Sequence[Prompt],
    left_out: list[LeftOut],
    styles: Styles,
    args: argparse.Namespace,
) -> Path:
    said = [prompt for prompt in prompts if transcript(prompt.text)]
    manifest: Path = args.out_dir / f"{args.split}.tsv"
    unspoken = _record(said, manifest, arguments.build_engine(args, styles))
    left_out += [LeftOut(p.id, "", NO_WORDS, p.text) for p in prompts if not transcript(p.text)]
    left_out += [LeftOut(p.id, "", UNSPOKEN, unspoken[p.id]) for p in said if p.id in unspoken]
    entries = [
        Entry(p.id, str(p.path), transcript(p.text), p.style.voice)
        for p in said
        if p.id not in unspoken
    ]
    split = Split(args.split, lambda: entries, lambda _: left_out)
    summary = prepare(split, args.out_dir, args.workers)
    _write_answers(asked, manifest)
    print(f"{manifest}: {summary}", flush=True)
    return manifest


def _record(prompts: Sequence[Prompt], manifest: Path, engine: SpeakingEngine) -> dict[str, str]:
    """By id, why a question could not be spoken."""
    manifest.with_suffix("").mkdir(parents=True, exist_ok=True)
    if replaces(prompts, engine):
        manifest.unlink(missing_ok=True)  # it would describe the new recordings until the end
    return record(prompts, engine, f"speaking {manifest.stem}")


def _write_answers(asked: Sequence[TriviaQuestion], manifest: Path) -> None:
    """Write the answers to what is in the manifest; they appear whole or not at all."""
    kept = set(Manifest(manifest).ids.to_pylist())
    lines = [Question(q.id, q.text, q.answers).to_json() + "\n" for q in asked if q.id in kept]
    path = answers_path(manifest)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text("".join(lines), encoding="utf-8")
    os.replace(temporary, path)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("triviaqa", type=Path, help="a file of TriviaQA with answers, as it is unpacked")
    add_arguments(parser)
    add("--split", default="triviaqa", metavar="NAME", help="the manifest's name")
    add("--sample", type=command.positive_integer, metavar="N", help="ask N questions, by lot")
    add("--seed", type=int, default=1, help="of the lot, voices, speeds and pitches (default 1)")
    arguments.add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
