"""Let the LLM answer dialogues, turn after turn, so that their user turns can be spoken ones.

    python data_prep/answer_dialogues.py data/train.tsv dialogues.jsonl --llm LLM

A line of the input is {"id": "d1", "messages": [...]}. A user message's content is a text, or a
list of parts {"type": "text", "text": ...} and {"type": "audio", "audio": ID}, where ID is an
utterance of the manifest: the LLM reads its transcript. An assistant message without content is
answered by the LLM (greedily) and trained, unless it has "train": false; one with content stays as
it is. A dialogue that ends with the user's message is answered once more.

Writes SPLIT.dialogues.jsonl beside the manifest. A run that was killed goes on where it was when
the same command is given again. Reads no audio.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import command
from answering.backend import Backend, in_process
from answering.dialogue import Dialogue, read_dialogues
from answering.engine import Answer, Engine, Request
from answering.options import add_llm_options

import fairseq_audiochat
from fairseq_audiochat.data.dialogue_record import DialogueRecord, header_line
from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.record_file import Record, complete
from fairseq_audiochat.data.response_record import ResponseHeader


def main() -> None:
    """Run the command line."""
    command.run(parser(), answer)


def answer(args: argparse.Namespace) -> Path:
    """Write the answers; gives their path."""
    output: Path = args.manifest.with_name(f"{args.manifest.stem}.dialogues.jsonl")
    if output.exists():
        raise ValueError(
            f"{output}: the dialogues must not exist already, but do; remove the file to answer "
            "them again."
        )
    responses = args.manifest.with_name(f"{args.manifest.stem}.responses.jsonl")
    if responses.exists():
        raise ValueError(
            f"{responses}: a split must have responses or dialogues, but has these responses; copy "
            "the manifest into another folder."
        )
    manifest = Manifest(args.manifest)
    rows = map(manifest.__getitem__, range(len(manifest)))
    transcripts = {utterance.id: utterance.text for utterance in rows}
    dialogues = list(read_dialogues(args.dialogues, transcripts))
    backend = in_process(
        args.llm, args.dtype, args.device, args.batch_size, quantisation=args.quantisation
    )
    window = backend.engine.unit
    units = [dialogues[first : first + window] for first in range(0, len(dialogues), window)]

    def compute(first: int) -> Iterator[list[Record]]:
        for unit in units[first:]:
            yield [record._asdict() for record in answer_all(unit, backend, args.max_length_factor)]

    partial = output.with_name(output.name + ".partial")
    ids = [[id for dialogue in unit for id in dialogue.record_ids()] for unit in units]
    records = complete(partial, ids, compute, "answers", header=_header(backend, args))
    os.replace(partial, output)
    _report(output, records, len(dialogues))
    return output


def answer_all(
    dialogues: Sequence[Dialogue], backend: Backend, factor: float
) -> list[DialogueRecord]:
    """Answer dialogues side by side: of each the first open turn, then of each the second.

    Returns:
        The records of the answers that are trained, dialogue by dialogue.
    """
    made: dict[str, list[DialogueRecord]] = {dialogue.id: [] for dialogue in dialogues}
    while asked := [(one, one.open_turns()[0]) for one in dialogues if one.open_turns()]:
        items = [
            dialogue.ask(place, backend.template, factor, backend.max_positions)
            for dialogue, place in asked
        ]
        answers = _answers(items, backend.engine)
        for (dialogue, place), item in zip(asked, items):
            record = dialogue.take(place, answers[item.id], backend.template)
            if record is not None:
                made[dialogue.id].append(record)
    return [record for records in made.values() for record in records]


def _answers(items: Sequence[Request | Answer], engine: Engine) -> dict[str, Answer]:
    """What the engine says to requests, and what was settled before."""
    found = {item.id: item for item in items if isinstance(item, Answer)}
    waiting = [item for item in items if isinstance(item, Request)]
    while len(found) < len(items):
        while waiting and engine.room() > 0:
            engine.submit(waiting.pop())
        found.update((answer.id, answer) for answer in engine.collect())
    return found


def _header(backend: Backend, args: argparse.Namespace) -> str:
    return header_line(
        ResponseHeader(
            backend.fingerprint._asdict(),
            {**backend.decoding, "max_length_factor": args.max_length_factor, "count": "turn"},
            template=backend.template.name,
            program=fairseq_audiochat.__version__,
        )
    )


def _report(output: Path, records: Sequence[Record], dialogues: int) -> None:
    """Say what came of it; nothing is left out in silence."""
    excluded = Counter(record["excluded"] for record in records if record["excluded"])
    for reason, count in excluded.items():
        print(f"{count:9,} excluded: {reason}")
    cut = sum(record["ended"] == "length" for record in records)
    print(
        f"{output}: {len(records)} answers in {dialogues} dialogues, {cut} cut by length, "
        f"{sum(excluded.values())} excluded"
    )


def parser() -> argparse.ArgumentParser:
    """The options; the defaults are those of generate_responses.py."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("manifest", type=Path, help="SPLIT.tsv, whose utterances the spoken turns are")
    add("dialogues", type=Path, help="JSON lines")
    add("--llm", type=Path, required=True, help="folder of the chat LLM")
    add(
        "--max-length-factor",
        type=command.positive_number,
        default=4.0,
        help="an answer has at most this many times the tokens of the turn before it (section 3.2; "
        "default 4)",
    )
    add_llm_options(made)
    return made


if __name__ == "__main__":
    main()
