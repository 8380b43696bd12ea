"""Filters: which responses shall not be trained on, and why. They mark, they remove nothing.

Knows no file.
"""

import argparse
import re
from typing import Any, NamedTuple

import command

from fairseq_audiochat.data.response_record import Response

REFUSALS = (
    "i apologize",
    "i'm sorry",
    "i am sorry",
    "sorry, but",
    "i cannot",
    "i can't",
    "i am not able to",
    "i'm not able to",
    "i am unable to",
    "i'm unable to",
    "as an ai",
    "as a responsible",
    "i'm just an ai",
    "it is not appropriate",
    "it's not appropriate",
)
"""Openings of responses that refuse, in lower case."""

EMPTY = "empty response"
SHORT = "response too short"
LONG = "response too long"
REPEATED = "repeated response"
REFUSED = "refusal"
_LONGEST_PERIOD = 50  # ids; a loop of sentences, too


class Filters(NamedTuple):
    """Which filters are used; none by default.

    Args:
        empty: Exclude responses without text.
        min_tokens: Exclude responses of fewer ids.
        max_tokens: Exclude responses of more ids.
        max_repeats: Exclude responses in which some run of ids comes more often, one right behind
            another.
        refused: Exclude responses that begin as one of ``REFUSALS``.
    """

    empty: bool = False
    min_tokens: int | None = None
    max_tokens: int | None = None
    max_repeats: int | None = None
    refused: bool = False

    def used(self) -> dict[str, Any]:
        """The filters that are used, for the header."""
        return {name: value for name, value in self._asdict().items() if value}

    def reason(self, response: Response) -> str:
        """Why a response is excluded; empty if it is not. The first reason counts."""
        tokens = len(response.response)
        if self.empty and not response.text.strip():
            return EMPTY
        if self.min_tokens is not None and tokens < self.min_tokens:
            return SHORT
        if self.max_tokens is not None and tokens > self.max_tokens:
            return LONG
        if self.max_repeats is not None and most_repeats(response.response) > self.max_repeats:
            return REPEATED
        return REFUSED if self.refused and is_refusal(response.text) else ""


def most_repeats(ids: list[int]) -> int:
    """How often the most repeated run of 1 to 50 ids comes, one right behind another.

    Of ``a b a b a`` the run ``a b`` comes 2 times.
    """
    most = 1
    for period in range(1, min(_LONGEST_PERIOD, len(ids) // 2) + 1):
        matches = longest = 0
        for first, second in zip(ids, ids[period:]):
            matches = matches + 1 if first == second else 0
            longest = max(longest, matches)
        most = max(most, longest // period + 1)
    return most


def is_refusal(text: str) -> bool:
    """Whether a response begins as one of ``REFUSALS``."""
    words = re.sub(r"\s+", " ", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")).strip()
    return words.lower().startswith(REFUSALS)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The filters' options."""
    group = parser.add_argument_group("filters: exclude responses from training")
    add = group.add_argument
    add("--exclude-empty", action="store_true", help="responses without text")
    add("--min-tokens", type=command.positive_integer, metavar="N", help="shorter responses")
    add("--max-tokens", type=command.positive_integer, metavar="N", help="longer responses")
    add(
        "--max-repeats",
        type=command.positive_integer,
        metavar="N",
        help="responses in which some run of up to 50 tokens comes more than N times in a row",
    )
    add("--exclude-refusals", action="store_true", help='"I apologize", "I cannot", ...')


def from_options(args: argparse.Namespace) -> Filters:
    """The filters that a command line asks for."""
    return Filters(
        args.exclude_empty,
        args.min_tokens,
        args.max_tokens,
        args.max_repeats,
        args.exclude_refusals,
    )
