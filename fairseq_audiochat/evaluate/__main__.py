"""``python -m fairseq_audiochat.evaluate COMMAND``: the paper's tables and figures.

Each command is a module of ``commands`` with ``add_arguments(parser)`` and ``run(args)``; its
docstring's first line is its help. What a command computed lies in ``--output`` as records, and
``report`` makes the tables and pictures again from these alone.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from fairseq_audiochat.program import exit_code

COMMANDS = {
    "alignment": "cosines of audio and text embeddings: heat maps and numbers (Figure 3)",
    "answers": "right answers to spoken questions (TriviaQA)",
    "perplexity": "WER of the prompts and perplexity of the responses (Table 2)",
    "rating-page": "a page on which people judge two systems' answers (Tables 3 and 4)",
    "ratings": "what raters judged: success rates, agreement, tests (Tables 3 and 4)",
    "robustness": "perplexity and WER in noise, reverberation, at other speeds, by telephone",
    "report": "tables and pictures again from the records of an output folder",
    "text-ability": "the LLM's logits on text against those of the bare LLM, bit by bit",
}
"""The modules of ``commands``, and what each is for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the program's exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    return exit_code(lambda: run(words), stopped="stopped: give the same command again to go on")


def run(words: Sequence[str]) -> int | None:
    """Parse the command line, and run the command that it names."""
    args = parser(words[:1]).parse_args(words)
    code: int | None = args.run(args)
    return code


def parser(chosen: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The command line; only the ``chosen`` commands are imported and know their options."""
    made = argparse.ArgumentParser(
        prog="python -m fairseq_audiochat.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        one = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        if name in chosen:
            module = import_module(f"fairseq_audiochat.evaluate.commands.{name.replace('-', '_')}")
            one.description = module.__doc__
            one.formatter_class = argparse.RawDescriptionHelpFormatter
            module.add_arguments(one)
            one.set_defaults(run=module.run)
    return made


if __name__ == "__main__":
    sys.exit(main())
