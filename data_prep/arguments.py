"""Kinds of values on the scripts' command lines. Knows no script."""

import argparse


def positive_integer(text: str) -> int:
    """Parse a count for `argparse`.

    Raises:
        ArgumentTypeError: If ``text`` is none.
    """
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a positive integer, but is {text!r}")
    return int(text)
