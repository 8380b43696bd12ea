"""The program: a session in the terminal, or a file of dialogues that is answered."""

import argparse
from collections.abc import Sequence

from fairseq_audiochat.chat.audio_chat import AudioChat
from fairseq_audiochat.program import exit_code
from fairseq_audiochat.terminal.answer_file import answer_file, check_settings
from fairseq_audiochat.terminal.console import Console
from fairseq_audiochat.terminal.conversation_loop import COMMANDS, ConversationLoop
from fairseq_audiochat.terminal.dialogue_file import read_dialogues
from fairseq_audiochat.terminal.options import decoding_of, parse_arguments
from fairseq_audiochat.terminal.session import Session
from fairseq_audiochat.terminal.transcript import Transcript


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; gives its exit code."""
    return exit_code(lambda: run(parse_arguments(arguments)))


def run(args: argparse.Namespace) -> None:
    """Talk, or answer a file."""
    (answer if args.input else talk)(args)


def talk(args: argparse.Namespace) -> None:
    """Until the user ends it."""
    console = Console(COMMANDS)
    transcript = Transcript(args.transcript)
    transcript.read()  # a wrong file is better known before the model is loaded
    session = Session(open_chat(args), transcript, decoding_of(args), args.drop_oldest_turns)
    if args.system is not None:
        session.set_system(args.system)
    if console.is_interactive:
        if session.messages:
            console.notice(f"{args.transcript}: goes on after {len(session.messages)} messages")
        console.notice("Type text, or :audio FILE, or :record; :help tells more.")
    ConversationLoop(session, console, args.max_new_tokens, args.max_audio_seconds).run()


def answer(args: argparse.Namespace) -> None:
    """A file of dialogues."""
    dialogues = read_dialogues(args.input)
    options = {**decoding_of(args), "drop_oldest_turns": args.drop_oldest_turns}
    model = {name: getattr(args, name) for name in ("dtype", "quantisation")}
    paths = {"path": str(args.path.resolve()), "llm": str(args.llm.resolve())}
    chat = open_chat(args)
    check_settings(args.output, {**paths, **model, **options})
    records = answer_file(chat, dialogues, args.output, args.batch_size, options)
    cut = sum(record["ended"] == "length" for record in records)
    dropped = sum(record["dropped_turns"] > 0 for record in records)
    print(
        f"{args.output}: {len(records)} answers, {cut} of them cut at {args.max_new_tokens} "
        f"tokens, {dropped} to dialogues without their oldest turns"
    )


def open_chat(args: argparse.Namespace) -> AudioChat:
    """The model."""
    return AudioChat.from_checkpoint(
        args.path,
        args.llm,
        dtype=args.dtype,
        quantisation=args.quantisation,
        device=args.device,
        max_audio_seconds=args.max_audio_seconds,
    )
