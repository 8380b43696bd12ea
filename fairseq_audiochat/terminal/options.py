"""The command line of ``python -m fairseq_audiochat.chat``, checked before anything is loaded."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairseq_audiochat.chat.audio_chat import MAX_AUDIO_SECONDS
from fairseq_audiochat.chat.decoding import Decoding
from fairseq_audiochat.modules.llm_quantisation import QUANTISATIONS
from fairseq_audiochat.modules.precision import DTYPES

_BATCH_SIZE = 8
_DESCRIPTION = """\
Talk to a trained model: type text, or :audio FILE, or :record; :help tells more.

With --input and --output, answer a file of dialogues instead: JSON lines
{"id": ..., "messages": [...]} in, JSON lines with "id" and "answer" out."""


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The options.

    Raises:
        ValueError: If two of them do not go together, or a value is out of its range.
    """
    args = parser().parse_args(words)
    if (args.input is None) != (args.output is None):
        raise ValueError("--input and --output must be given together, but one is missing.")
    alone = {"--transcript": args.transcript, "--system": args.system}
    for option, value in alone.items():
        if args.input and value is not None:
            raise ValueError(f"{option} must be left away with --input, but is given.")
    if args.batch_size is not None and not args.input:
        raise ValueError("--batch-size must be given with --input only, but there is none.")
    args.batch_size = _BATCH_SIZE if args.batch_size is None else args.batch_size
    if args.batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1, but is {args.batch_size}.")
    if args.max_audio_seconds <= 0:
        raise ValueError(f"--max-audio-seconds must be above 0, but is {args.max_audio_seconds:g}.")
    Decoding(**decoding_of(args))
    return args


def decoding_of(args: argparse.Namespace) -> dict[str, Any]:
    """The options of `Decoding`."""
    return {name: getattr(args, name) for name in Decoding.__dataclass_fields__}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m fairseq_audiochat.chat",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_model(made.add_argument_group("the model"))
    _add_decoding(made.add_argument_group("how answers are found"))
    _add_files(made.add_argument_group("what is asked"))
    return made


def _add_model(group: Any) -> None:
    add = group.add_argument
    add("--path", type=Path, required=True, help="a checkpoint of audio_chat, or an export")
    add("--llm", type=Path, required=True, help="folder of the LLM that it was trained with")
    add("--dtype", choices=DTYPES, help="in which the LLM computes (as in training)")
    add("--quantisation", choices=list(QUANTISATIONS), help="of its weights (as in training)")
    add("--device", help="of torch (a GPU if there is one)")
    add(
        "--max-audio-seconds",
        type=float,
        default=MAX_AUDIO_SECONDS,
        help=f"refuse longer recordings ({MAX_AUDIO_SECONDS:g})",
    )


def _add_decoding(group: Any) -> None:
    add, default = group.add_argument, Decoding()
    add("--max-new-tokens", type=int, default=default.max_new_tokens, help="longest answer (200)")
    add("--beam", type=int, default=default.beam, help="beams of the search (1: greedy)")
    add("--length-penalty", type=float, default=default.length_penalty, help="of the search (1)")
    add("--temperature", type=float, default=default.temperature, help="above 0: draw tokens (0)")
    add("--top-k", type=int, default=default.top_k, help="of the k most probable tokens (0: all)")
    add("--top-p", type=float, default=default.top_p, help="of those with this probability (1)")
    add("--seed", type=int, default=default.seed, help="of what is drawn (another each time)")
    add(
        "--drop-oldest-turns",
        action="store_true",
        help="leave out the oldest turns of a dialogue that is longer than the context",
    )


def _add_files(group: Any) -> None:
    add = group.add_argument
    add("--system", metavar="TEXT", help="the system prompt (none)")
    add("--transcript", type=Path, metavar="FILE", help="written after every turn; gone on with")
    add("--input", type=Path, metavar="DIALOGUES.jsonl", help="answer these, and ask nobody")
    add("--output", type=Path, metavar="ANSWERS.jsonl", help="the answers; gone on with")
    add("--batch-size", type=int, help=f"dialogues at a time, with --input ({_BATCH_SIZE})")
