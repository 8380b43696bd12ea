"""A shard: one of n parts of a manifest, whose responses are a file of their own.

Knows no response.
"""

import argparse
import re
from pathlib import Path
from typing import NamedTuple


class Shard(NamedTuple):
    """The ``index``-th of ``of`` parts, counted from 1; parts are runs of rows."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def rows(self, total: int) -> range:
        """Its rows of a manifest; those of all shards are all rows, and differ by one at most."""
        return range(total * (self.index - 1) // self.of, total * self.index // self.of)

    def path(self, manifest: Path) -> Path:
        """Where its responses are."""
        name = f"{manifest.stem}.responses.{self.index}-of-{self.of}.jsonl"
        return manifest.with_name(name)

    @staticmethod
    def parse(text: str) -> "Shard":
        """Parse ``3/64`` for `argparse`.

        Raises:
            ArgumentTypeError: If ``text`` is no such pair.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise argparse.ArgumentTypeError(
                f"must be I/N with I from 1 to N, such as 3/64, but is {text!r}"
            )
        return Shard(int(match[1]), int(match[2]))


def whole_path(manifest: Path) -> Path:
    """Where the responses of a whole manifest are: what training reads."""
    return manifest.with_name(f"{manifest.stem}.responses.jsonl")


def find_shards(manifest: Path) -> list[Path]:
    """The finished files of a manifest's shards, in order.

    Raises:
        ValueError: If there is none, one is missing, or some are of another number of shards.
    """
    name = re.compile(re.escape(manifest.stem) + r"\.responses\.(\d+)-of-(\d+)\.jsonl")
    found = {
        Shard(int(match[1]), int(match[2])): path
        for path in manifest.parent.iterdir()
        if (match := name.fullmatch(path.name))
    }
    numbers = sorted({shard.of for shard in found})
    if len(numbers) != 1:
        raise ValueError(
            f"{manifest.parent}: there must be the shards of one run of data_prep/"
            f"generate_responses.py --shard, but there are shards of {numbers or 'none'}; "
            "name the files to merge."
        )
    missing = [
        str(shard)
        for index in range(1, numbers[0] + 1)
        if (shard := Shard(index, numbers[0])) not in found
    ]
    if missing:
        raise ValueError(
            f"{manifest.parent}: every shard must be finished, but {len(missing)} of {numbers[0]} "
            f"are not (first: {missing[0]}); run data_prep/generate_responses.py --shard "
            f"{missing[0]} again, which goes on where it was."
        )
    return [found[shard] for shard in sorted(found)]
