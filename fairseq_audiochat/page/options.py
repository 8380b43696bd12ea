"""The command line of ``python -m fairseq_audiochat.page``, checked before anything is loaded."""

import argparse
import math
import socket
from collections.abc import Sequence
from typing import Any

import torch

from fairseq_audiochat.chat.decoding import Decoding
from fairseq_audiochat.modules.llm_quantisation import QUANTISATIONS
from fairseq_audiochat.modules.precision import DTYPES

_DESCRIPTION = """\
Talk to a trained model in the browser: speak, upload recordings, write.

The page is there for this machine alone, unless --host says otherwise."""


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The options.

    Raises:
        OSError: If the page cannot be at this address.
        ValueError: If a value is out of its range.
    """
    args = parser().parse_args(words)
    _check("--port", args.port, "between 1 and 65535", 1 <= args.port <= 65_535)
    _check("--max-upload-mb", args.max_upload_mb, "at least 1", args.max_upload_mb >= 1)
    _check(
        "--max-audio-seconds",
        f"{args.max_audio_seconds:g}",
        "a number above 0",
        0 < args.max_audio_seconds < math.inf,
    )
    _check("--kept-caches", args.kept_caches, "at least 1", args.kept_caches >= 1)
    Decoding(**decoding_of(args))
    _check_device(args.device)
    _check_address(args.host, args.port)
    return args


def decoding_of(args: argparse.Namespace) -> dict[str, Any]:
    """How answers are found, see `Decoding`."""
    return {"max_new_tokens": args.max_new_tokens, "beam": args.beam}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m fairseq_audiochat.page",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_model(made.add_argument_group("the model"))
    _add_page(made.add_argument_group("the page"))
    return made


def _add_model(group: Any) -> None:
    add, default = group.add_argument, Decoding()
    add("--path", required=True, help="a checkpoint of audio_chat, or an exported folder")
    add("--llm", required=True, help="folder of the LLM that it was trained with")
    add("--dtype", choices=DTYPES, help="in which the LLM computes (as in training)")
    add("--quantisation", choices=list(QUANTISATIONS), help="of its weights (as in training)")
    add("--device", help="of torch (a GPU if there is one)")
    add("--max-new-tokens", type=int, default=default.max_new_tokens, help="longest answer (200)")
    add("--beam", type=int, default=default.beam, help="beams of the search (1: greedy)")
    add(
        "--kept-caches",
        type=int,
        default=4,
        help="dialogues whose keys and values stay in memory, the latest ones; others are read "
        "again when they go on (4)",
    )


def _add_page(group: Any) -> None:
    add = group.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (127.0.0.1: this machine alone)")
    add("--port", type=int, default=7860, help="port to listen at (7860)")
    add("--title", default="AudioChatLlama", help="of the page (AudioChatLlama)")
    add("--max-audio-seconds", type=float, default=60.0, help="refuse longer recordings (60)")
    add("--max-upload-mb", type=int, default=25, help="refuse larger files (25)")


def _check(option: str, value: object, rule: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{option} must be {rule}, but is {value}.")


def _check_device(device: str | None) -> None:
    try:
        torch.device(device or "cpu")
    except RuntimeError as error:
        raise ValueError(
            f"--device must be one of torch's, such as cpu or cuda:0, but is {device!r}."
        ) from error


def _check_address(host: str, port: int) -> None:
    """Before the model is loaded, which takes longer."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        raise OSError(
            f"--host and --port must be a free address of this machine, but are {host} and "
            f"{port}: {error.strerror}; choose others."
        ) from error
