"""What the scripts' command lines share: kinds of values, and how a user's mistake ends.

Knows no script.
"""

import argparse
from collections.abc import Callable


def run(parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], object]) -> None:
    """Parse the command line and run a command; a user's mistake ends in one sentence."""
    args = parser.parse_args()
    try:
        command(args)
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError) as error:
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "stopped: run the same command again to go on\n")


def positive_number(text: str) -> float:
    """Parse a factor for `argparse`.

    Raises:
        ArgumentTypeError: If ``text`` is none, or not finite.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, but is {text!r}")
    return number


def positive_integer(text: str) -> int:
    """Parse a count for `argparse`.

    Raises:
        ArgumentTypeError: If ``text`` is none.
    """
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a positive integer, but is {text!r}")
    return int(text)
