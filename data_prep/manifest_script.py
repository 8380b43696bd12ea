"""The command line that the scripts of all corpora share. Knows no corpus."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import command
from command import positive_integer
from corpus import Split, prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every corpus's script has."""
    parser.add_argument("out_dir", type=Path, help="folder of the manifests")
    cores = os.cpu_count() or 1
    parser.add_argument(
        "--workers", type=positive_integer, default=cores, help="default: all cores"
    )


def run(
    parser: argparse.ArgumentParser, find_splits: Callable[[argparse.Namespace], list[Split]]
) -> None:
    """Prepare each split that the command line asks for; stopped, it goes on at the next call."""
    command.run(parser, lambda args: _prepare_all(find_splits(args), args))


def _prepare_all(splits: list[Split], args: argparse.Namespace) -> None:
    for split in splits:
        summary = prepare(split, args.out_dir, args.workers)
        print(f"{args.out_dir / split.name}.tsv: {summary}", flush=True)
