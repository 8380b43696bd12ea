"""Merge the responses of shards into the file that training reads, and filter them.

    python data_prep/merge_responses.py data/train.tsv
    python data_prep/merge_responses.py data/train.tsv --exclude-refusals --max-repeats 4

Reads ``data/train.responses.1-of-64.jsonl`` and so on (or the files that are named), checks that
every utterance of the manifest has exactly one record and that all files are of one LLM and one
setting, and writes ``data/train.responses.jsonl`` and its table. The shards stay as they are, so
that other filters can be tried. Holds no more than a record at a time.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import command
from answering.filters import Filters, add_options, from_options
from answering.response_file import ResponseFile
from answering.shard import find_shards, whole_path
from tqdm import tqdm

from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.response_record import (
    Response,
    ResponseHeader,
    read_header,
    read_records,
)
from fairseq_audiochat.data.responses import Responses

_GENERATE = "data_prep/generate_responses.py"


def main() -> None:
    """Run the command line."""
    command.run(parser(), merge)


def merge(args: argparse.Namespace) -> Path:
    """Check and write; gives the path."""
    output = whole_path(args.manifest)
    if output.exists():
        raise ValueError(
            f"{output}: the responses must not exist already, but do; remove the file to merge "
            "again."
        )
    manifest = Manifest(args.manifest)
    shards = args.shards or find_shards(args.manifest)
    filters = from_options(args)
    header = common_header(shards)
    header = header._replace(filters={**header.filters, **filters.used()})
    excluded: Counter[str] = Counter()
    with ResponseFile(output, header, ".merging") as file:
        file.begin()
        records = tqdm(
            _in_order(shards, manifest), output.name, len(manifest), unit="response", disable=None
        )
        for record in records:
            filtered = _filtered(record, filters)
            excluded[filtered.excluded] += 1
            file.write([filtered])
        file.finish()
    Responses(output, manifest)  # builds the table, and checks it once more
    _report(output, len(shards), excluded)
    return output


def common_header(shards: list[Path]) -> ResponseHeader:
    """The provenance of all shards.

    Raises:
        ValueError: If two differ in more than their number.
    """
    first = read_header(shards[0])._replace(shard="")
    for path in shards[1:]:
        difference = read_header(path)._replace(shard="").difference_from(first)
        if difference:
            raise ValueError(
                f"{path}: all shards must be of one LLM and one setting, but it has {difference} "
                f"in {shards[0].name}; generate it again with {_GENERATE}."
            )
    return first


def _in_order(shards: list[Path], manifest: Manifest) -> Iterator[Response]:
    """The records of all shards, one for each utterance."""
    row = 0
    for path in shards:
        for number, record in enumerate(read_records(path), start=2):
            expected = manifest.ids[row].as_py() if row < len(manifest) else None
            if record.id != expected:
                place = "behind the last utterance" if expected is None else repr(expected)
                raise ValueError(
                    f"{path}:{number}: every utterance of {manifest.path} must have one record, "
                    f"in its order, but where {place} should be is {record.id!r}; name all shards "
                    f"in order, or generate this one again with {_GENERATE}."
                )
            row += 1
            yield record
    if row < len(manifest):
        raise ValueError(
            f"{shards[-1]}: every utterance of {manifest.path} must have one record, but the "
            f"records end before {manifest.ids[row].as_py()!r}, utterance {row + 1} of "
            f"{len(manifest)}; name all shards."
        )


def _filtered(record: Response, filters: Filters) -> Response:
    return record if record.excluded else record._replace(excluded=filters.reason(record))


def _report(output: Path, shards: int, excluded: Counter[str]) -> None:
    total = sum(excluded.values())
    for reason, count in excluded.most_common():
        if reason:
            print(f"{count:9,} excluded: {reason}")
    print(f"{output}: {total} responses of {shards} shards, {total - excluded['']} excluded")


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, help="SPLIT.tsv; writes SPLIT.responses.jsonl")
    parser.add_argument("shards", type=Path, nargs="*", help="files, in order (default: found)")
    add_options(parser)
    return parser


if __name__ == "__main__":
    main()
