"""The options that say who speaks, and the engine that they ask for. Knows no corpus."""

import argparse
import os
from typing import Any

from command import positive_integer, positive_number

from speaking.command_engine import VOICE, CommandEngine
from speaking.endpoint_engine import EndpointEngine
from speaking.engine import SpeakingEngine
from speaking.espeak_engine import EspeakEngine
from speaking.styles import ESPEAK_PITCH, ESPEAK_SPEED, Styles, check_ranges, read_voices

_ESPEAK_ONLY = ("words_per_minute", "pitch")
_ENDPOINT_ONLY = ("model", "in_flight", "retries")
_DEFAULTS = {"in_flight": 8, "retries": 8, "timeout": 600.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options; espeak-ng speaks unless another engine is named."""
    add = parser.add_argument
    add("--voices", help="with commas, or a file of one per line (espeak-ng: default en-us)")
    add("--words-per-minute", type=int, nargs=2, metavar=("LOW", "HIGH"), help="espeak-ng only")
    add("--pitch", type=int, nargs=2, metavar=("LOW", "HIGH"), help="espeak-ng only; 50: its own")
    add("--command", metavar="LINE", help="speak by a command: text on stdin, {output} to write")
    add("--endpoint", action="append", metavar="URL", help="speak by servers; several times")
    add("--model", metavar="NAME", help="the voice model's name at the endpoints")
    add("--in-flight", type=positive_integer, help="requests under way, per endpoint (default 8)")
    add("--retries", type=positive_integer, help="times a request is repeated (default 8)")
    add(
        "--timeout",
        type=positive_number,
        metavar="SECONDS",
        help="until a command or an endpoint must have spoken (default 600)",
    )


def build_styles(args: argparse.Namespace) -> Styles:
    """How the utterances are spoken.

    Raises:
        ValueError: If an option does not fit the engine, or is out of range.
    """
    _check_options(args)
    if args.command or args.endpoint:
        return Styles(read_voices(args.voices) if args.voices else [""], args.seed)
    args.words_per_minute = args.words_per_minute or ESPEAK_SPEED
    args.pitch = args.pitch or ESPEAK_PITCH
    check_ranges(args)
    voices = read_voices("en-us" if args.voices is None else args.voices)
    return Styles(voices, args.seed, args.words_per_minute, args.pitch)


def build_engine(args: argparse.Namespace, styles: Styles) -> SpeakingEngine:
    """Who speaks.

    Raises:
        ModuleNotFoundError: If the engine's package is missing.
        ValueError: If it does not have what is asked of it.
    """
    settings: dict[str, Any] = {
        name: getattr(args, name) or default for name, default in _DEFAULTS.items()
    }
    if args.command:
        return CommandEngine(args.command, args.workers, settings["timeout"])
    if args.endpoint:
        key = os.environ.get("OPENAI_API_KEY", "none")
        return EndpointEngine(args.endpoint, args.model, api_key=key, **settings)
    return EspeakEngine(list(styles.voices), args.seed, args.workers)


def _check_options(args: argparse.Namespace) -> None:
    if args.command and args.endpoint:
        raise ValueError("--command and --endpoint must not be given together, but are.")
    if args.command or args.endpoint:
        _refuse(args, _ESPEAK_ONLY, "without --command and --endpoint")
    if not args.endpoint:
        _refuse(args, _ENDPOINT_ONLY, "with --endpoint")
    if not args.endpoint and not args.command:
        _refuse(args, ("timeout",), "with --command or --endpoint")
    if args.endpoint and not (args.model and args.voices):
        raise ValueError(
            "--endpoint must be given with --model and --voices, but --model is "
            f"{args.model!r} and --voices is {args.voices!r}."
        )
    if args.command and (VOICE in args.command) != (args.voices is not None):
        raise ValueError(
            f"--voices must be given if --command names {VOICE} and only then, but --command is "
            f"{args.command!r} and --voices is {args.voices!r}."
        )


def _refuse(args: argparse.Namespace, names: tuple[str, ...], rule: str) -> None:
    for name in names:
        if getattr(args, name) is not None:
            raise ValueError(
                f"--{name.replace('_', '-')} must be given {rule} only, but is "
                f"{getattr(args, name)!r}."
            )
