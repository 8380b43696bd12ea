"""Let the LLM answer every transcript of a manifest (the paper's section 3.2).

The LLM reads the transcript in the paper's prompt and answers greedily, with at most four
times the prompt's tokens. Records are written in the manifest's order, so that a run that was
killed continues where it was. Reads no audio.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

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
from fairseq_audiochat.modules.frozen_llm import TOKENIZER_FILE, FrozenLlm, load_llm
from fairseq_audiochat.modules.greedy_response import respond

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
        type=float,
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
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def generate(args: argparse.Namespace) -> Path:
    """Write the responses; gives their path."""
    manifest = Manifest(args.manifest)
    llm = load_llm(args.llm, getattr(torch, args.dtype)).to(args.device)
    responder = Responder(llm, args)
    output = args.manifest.with_name(f"{args.manifest.stem}.responses.jsonl")
    partial = output.with_name(output.name + ".partial")
    if output.exists():
        raise ValueError(
            f"{output}: the responses must not exist already, but do; remove the file to generate "
            "them again."
        )
    done = resume(partial, responder.header, manifest)
    with open(partial, "a", encoding="utf-8") as file:
        progress = tqdm(total=len(manifest), initial=done, unit="response", disable=None)
        for window in windows(manifest, done, args.batch_size * BATCHES_PER_WINDOW):
            records = responder.answer(window)
            file.writelines(record.to_json() + "\n" for record in records)
            file.flush()
            progress.update(len(window))
        progress.close()
    os.replace(partial, output)
    report(output)
    return output


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


def resume(partial: Path, header: ResponseHeader, manifest: Manifest) -> int:
    """Prepare the partial file for appending; gives how many utterances are done.

    A half-written last line is removed.

    Raises:
        ValueError: If the file was begun with another LLM, other settings or another manifest.
    """
    if not partial.exists() or b"\n" not in partial.read_bytes()[: 1 << 20]:
        partial.write_text(header.to_json() + "\n", encoding="utf-8")
        return 0
    begun = read_header(partial)
    if begun != header:
        raise ValueError(
            f"{partial}: a run must be continued with the LLM and settings that it was begun with, "
            f"but those are {begun.decoding} and now {header.decoding} (or the LLM is another); "
            "remove the file to begin anew."
        )
    done, whole = 0, 0
    with open(partial, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            if whole:
                _check_next(partial, line.decode(), done, manifest)
                done += 1
            whole += len(line)
    os.truncate(partial, whole)
    return done


def _check_next(partial: Path, line: str, done: int, manifest: Manifest) -> None:
    record = parse_record(line, f"{partial}:{done + 2}")
    if done >= len(manifest) or record.id != manifest.ids[done].as_py():
        raise ValueError(
            f"{partial}:{done + 2}: responses must follow the manifest's order, but {record.id!r} "
            f"is not its utterance {done + 1}; remove the file to begin anew."
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
