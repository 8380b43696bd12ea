"""Tables and pictures again, from the records of an output folder alone; needs no model.

python -m fairseq_audiochat.evaluate report evaluation
"""

import argparse
from importlib import import_module
from pathlib import Path

from fairseq_audiochat.evaluate.run_record import read_run

REPORTED = ("perplexity", "robustness", "answers", "ratings", "alignment", "text_ability")
"""Commands whose records can be reported: modules with ``RECORDS`` and ``write_report(folder)``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("folder", type=Path, help="what was --output")


def run(args: argparse.Namespace) -> None:
    """Report everything that was measured.

    Raises:
        ValueError: If the folder holds no records.
    """
    read_run(args.folder)
    found = False
    for name in REPORTED:
        module = import_module(f"fairseq_audiochat.evaluate.commands.{name}")
        if (args.folder / module.RECORDS).is_dir():
            module.write_report(args.folder)
            found = True
    if not found:
        raise ValueError(
            f"{args.folder}: there must be records to report, but there are none; run a command "
            "with --output first."
        )
