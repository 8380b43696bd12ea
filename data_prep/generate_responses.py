"""Let the LLM answer every transcript of a manifest (the paper's section 3.2).

The LLM reads the transcript in the paper's prompt and answers greedily, with at most four
times the transcript's tokens. Records are written in the manifest's order, so that a run that was
killed continues where it was. Reads no audio.
"""

import argparse
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import command
import torch
from tqdm import tqdm

from fairseq_audiochat.data.conversation import Conversation
from fairseq_audiochat.data.llama2_chat import Llama2Chat
from fairseq_audiochat.data.manifest import Manifest, Utterance
from fairseq_audiochat.data.responses import (
    Response,
    ResponseHeader,
    parse_record,
    read_header,
)
from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.greedy_response import respond
from fairseq_audiochat.modules.llm_loading import TOKENIZER_FILE, load_llm

BATCHES_PER_WINDOW = 16  # within a window, prompts of similar length are answered together


def main() -> None:
    """Run the command line."""
    command.run(_parser(), generate)


def _parser() -> argparse.ArgumentParser:
    """The options; the defaults are the paper's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, help="SPLIT.tsv; writes SPLIT.responses.jsonl")
    parser.add_argument("--llm", type=Path, required=True, help="folder of the chat LLM")
    parser.add_argument(
        "--max-length-factor",
        type=command.positive_number,
        default=4.0,
        help="a response has at most this many times the prompt's tokens (section 3.2; default 4)",
    )
    parser.add_argument(
        "--count",
        choices=["transcript", "prompt"],
        default="transcript",
        help="what the factor multiplies: the transcript's tokens, or those of the whole prompt "
        "with its template; the paper does not say which (default transcript)",
    )
    parser.add_argument(
        "--batch-size", type=command.positive_integer, default=16, help="prompts per batch"
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        default="float32",
        help="dtype in which the LLM computes; in half precision its ids can depend on the batch",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def generate(args: argparse.Namespace) -> Path:
    """Write the responses; gives their path."""
    output = args.manifest.with_name(f"{args.manifest.stem}.responses.jsonl")
    if output.exists():
        raise ValueError(
            f"{output}: the responses must not exist already, but do; remove the file to generate "
            "them again."
        )
    manifest = Manifest(args.manifest)
    llm = load_llm(args.llm, getattr(torch, args.dtype)).to(args.device)
    responder = Responder(llm, args)
    partial = output.with_name(output.name + ".partial")
    with open(partial, "a", encoding="utf-8") as file:
        _lock(file, partial)
        window = args.batch_size * BATCHES_PER_WINDOW
        done = resume(partial, responder, manifest, window)
        file.seek(0, os.SEEK_END)
        progress = tqdm(total=len(manifest), initial=done, unit="response", disable=None)
        for utterances in windows(manifest, done, window):
            records = responder.answer(utterances)
            file.writelines(record.to_json() + "\n" for record in records)
            file.flush()
            progress.update(len(utterances))
        progress.close()
        os.replace(partial, output)
    report(output)
    return output


def _lock(file: TextIO, partial: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(
            f"{partial}: one process must write it, but another one does; wait for it."
        ) from error


class Responder:
    """Answers transcripts.

    Args:
        llm: The LLM.
        args: The options.
    """

    def __init__(self, llm: FrozenLlm, args: argparse.Namespace) -> None:
        self.llm = llm
        self.template = Llama2Chat(args.llm / TOKENIZER_FILE)
        self.factor, self.count, self.batch_size = (
            args.max_length_factor,
            args.count,
            args.batch_size,
        )
        decoding = {"search": "greedy", "max_length_factor": self.factor, "count": self.count}
        self.header = ResponseHeader(llm.fingerprint._asdict(), {**decoding, "dtype": args.dtype})

    def answer(self, utterances: list[Utterance]) -> list[Response]:
        """One record per utterance, in their order; batches are made of similar lengths."""
        prompts = [self.template.prompt(Conversation.of_text(row.text)) for row in utterances]
        limits = [self._limit(row, prompt) for row, prompt in zip(utterances, prompts)]
        records: dict[int, Response] = {}
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            answers = respond(
                self.llm,
                [prompts[index] for index in batch],
                [limits[index] for index in batch],
                self.template.eos_id,
            )
            for index, (ids, ended) in zip(batch, answers):
                text = self.template.decode(ids)
                records[index] = Response(utterances[index].id, prompts[index], ids, text, ended)
        return [records[index] for index in range(len(utterances))]

    def _limit(self, utterance: Utterance, prompt: list[int]) -> int:
        tokens = (
            len(prompt) if self.count == "prompt" else len(self.template.encode(utterance.text))
        )
        room = self.llm.max_positions - len(prompt)
        if room < 1:
            raise ValueError(
                f"A prompt must fit into the LLM's {self.llm.max_positions} positions, but that of "
                f"utterance {utterance.id!r} has {len(prompt)}; leave it out of the manifest."
            )
        return min(max(1, int(self.factor * tokens)), room)


def windows(manifest: Manifest, start: int, size: int) -> Iterator[list[Utterance]]:
    """The manifest's utterances from ``start`` on, ``size`` at a time."""
    for first in range(start, len(manifest), size):
        yield [manifest[index] for index in range(first, min(first + size, len(manifest)))]


def resume(partial: Path, responder: "Responder", manifest: Manifest, window: int) -> int:
    """Prepare the partial file for appending; gives how many utterances are done.

    What stands behind the last whole window is removed and generated again, so that batches are
    those of an uninterrupted run.

    Raises:
        ValueError: If the file was begun with another LLM, other settings or other transcripts.
    """
    with open(partial, "rb") as file:
        if not file.readline().endswith(b"\n"):
            partial.write_text(responder.header.to_json() + "\n", encoding="utf-8")
            return 0
        _check_header(partial, responder.header)
        kept, end = 0, file.tell()
        for done, line in enumerate(iter(file.readline, b""), start=1):
            if not line.endswith(b"\n"):
                break
            _check_next(partial, line.decode(), done, manifest, responder.template)
            if done % window == 0 or done == len(manifest):
                kept, end = done, file.tell()
    os.truncate(partial, end)
    return kept


def _check_header(partial: Path, header: ResponseHeader) -> None:
    begun = read_header(partial)
    if begun != header:
        raise ValueError(
            f"{partial}: a run must be continued with the LLM and settings that it was begun with, "
            f"but those are {begun.decoding} and now {header.decoding} (or the LLM is another); "
            "remove the file to begin anew."
        )


def _check_next(
    partial: Path, line: str, number: int, manifest: Manifest, template: Llama2Chat
) -> None:
    place = f"{partial}:{number + 1}"  # line 1 is the header
    record = parse_record(line, place)
    expected = manifest[number - 1] if number <= len(manifest) else None
    if expected is None or record.id != expected.id:
        raise ValueError(
            f"{place}: responses must follow the manifest's order, but {record.id!r} is not its "
            f"utterance {number}; remove the file to begin anew."
        )
    if record.prompt != template.prompt(Conversation.of_text(expected.text)):
        raise ValueError(
            f"{place}: a response must be to the manifest's transcript, but the transcript of "
            f"{record.id!r} has changed; remove the file to begin anew."
        )


def report(output: Path) -> None:
    """Say what was generated."""
    ended = {"eos": 0, "length": 0}
    tokens = 0
    with open(output, encoding="utf-8") as file:
        next(file)
        for number, line in enumerate(file, start=2):
            record = parse_record(line, f"{output}:{number}")
            ended[record.ended] += 1
            tokens += len(record.response)
    total = sum(ended.values())
    print(
        f"{output}: {total} responses, {tokens / total:.1f} tokens on average, "
        f"{ended['length']} cut by length"
    )


if __name__ == "__main__":
    main()
