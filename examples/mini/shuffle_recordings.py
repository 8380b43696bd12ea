"""Writes a control: each response of a split behind another sentence's recording.

    python examples/mini/shuffle_recordings.py data/test.tsv --output-dir shuffled

The same responses to the same utterances, in the same order, so that the control's figures
compare with the other arms'. Reads no audio.
"""

import argparse
import random
import shutil
from pathlib import Path

from fairseq_audiochat.data.manifest import Manifest, Utterance, write_manifest


def main() -> None:
    """Write the manifest, and its responses beside it."""
    args = _parser().parse_args()
    manifest = Manifest(args.manifest)
    utterances = [manifest[index] for index in range(len(manifest))]
    args.output_dir.mkdir(parents=True, exist_ok=True)
    rows = shuffled(utterances, args.seed)
    write_manifest(args.output_dir / args.manifest.name, map(_absolute, rows))
    for kind in ("responses", "answers"):
        shutil.copy(args.manifest.with_name(f"{args.manifest.stem}.{kind}.jsonl"), args.output_dir)
    print(f"{args.output_dir}: {len(rows)} utterances")


def shuffled(utterances: list[Utterance], seed: int) -> list[Utterance]:
    """The utterances, each with the recording of another one that says something else.

    Raises:
        ValueError: If they all say the same.
    """
    if len({row.text for row in utterances}) < 2:
        raise ValueError("There must be two different transcripts to shuffle, but there are not.")
    choose = random.Random(seed)
    donors = choose.sample(utterances, len(utterances))
    # A clash swaps with any other place; an exchange can make a new clash, so until none is left.
    while clashes := [i for i, row in enumerate(utterances) if donors[i].text == row.text]:
        for i in clashes:
            j = choose.randrange(len(donors))
            donors[i], donors[j] = donors[j], donors[i]
    return [
        row._replace(audio=donor.audio, n_frames=donor.n_frames, speaker=donor.speaker)
        for row, donor in zip(utterances, donors, strict=True)
    ]


def _absolute(row: Utterance) -> Utterance:
    return row._replace(audio=str(Path(row.audio).resolve()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("manifest", type=Path, help="manifest; responses and answers lie beside it")
    add("--output-dir", type=Path, required=True, help="where it goes, with responses and answers")
    add("--seed", type=int, default=1, help="of the shuffle (default: 1)")
    return parser


if __name__ == "__main__":
    main()
