"""The command line that the scripts of all corpora share. Knows no corpus."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from arguments import positive_integer
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
    """Prepare each split that the command line asks for; a user's mistake ends in one sentence."""
    args = parser.parse_args()
    try:
        for split in find_splits(args):
            summary = prepare(split, args.out_dir, args.workers)
            print(f"{args.out_dir / split.name}.tsv: {summary}", flush=True)
    except (ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "stopped: run the same command again to go on\n")
