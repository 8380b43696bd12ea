"""The CTC vocabulary: SentencePieces of the transcripts of manifests.

    python data_prep/train_vocabulary.py manifests/train.tsv --output manifests/spm.model

The paper has 1,500 pieces (section 3.1). Every character of the transcripts becomes a piece; there
is no beginning, end or padding, because CTC knows none. From very large corpora every n-th
transcript is taken, so the same manifests give the same vocabulary. Does not normalise
transcripts beyond SentencePiece's NFKC: that is the manifest's business.
"""

import argparse
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import command
import sentencepiece
from tqdm import tqdm

from fairseq_audiochat.data.manifest import Manifest
from fairseq_audiochat.data.vocabulary import Vocabulary

MODEL_TYPES = ("unigram", "bpe")
_MOST_TRANSCRIPTS = 2_000_000  # more change no piece, and SentencePiece holds them all in memory
_NO_LIMIT = 1 << 30  # SentencePiece's own would skip long transcripts
_TOO_LARGE = re.compile(r"set it to a value <= (\d+)")
_TOO_SMALL = re.compile(r"smaller than required_chars. \d+ vs (\d+)")


def main() -> None:
    """Run the command line."""
    command.run(_parser(), write_vocabulary)


def write_vocabulary(args: argparse.Namespace) -> None:
    """Train, check and write the vocabulary."""
    manifests = [Manifest(path) for path in args.manifests]
    model = train(manifests, args.size, args.model_type)
    write_whole(args.output, model)
    print(f"{args.output}: {len(Vocabulary(model)) - 1:,} pieces")


def train(manifests: list[Manifest], size: int, model_type: str) -> bytes:
    """Train a SentencePiece model.

    Args:
        manifests: Whose transcripts.
        size: Number of pieces, ``<unk>`` among them.
        model_type: One of ``MODEL_TYPES``.

    Returns:
        The serialised model.

    Raises:
        ValueError: If the transcripts cannot give so many pieces, or have more characters.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_transcripts(manifests),
            model_writer=model,
            vocab_size=size,
            model_type=model_type,
            character_coverage=1.0,  # a rare letter is a letter
            max_sentence_length=_NO_LIMIT,
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            minloglevel=1,
        )
    except RuntimeError as error:
        raise ValueError(_size_problem(str(error), size)) from error
    return model.getvalue()


def _transcripts(manifests: list[Manifest]) -> Iterator[str]:
    total = sum(map(len, manifests))
    step = -(-total // _MOST_TRANSCRIPTS)  # rounded up
    position = 0
    with tqdm(total=-(-total // step), desc="transcripts", mininterval=1) as progress:
        for manifest in manifests:
            for text in manifest.texts:
                if position % step == 0:
                    progress.update()
                    yield text.as_py()
                position += 1


def _size_problem(message: str, size: int) -> str:
    if match := _TOO_LARGE.search(message):
        return (
            f"--size must be at most {match[1]} for these transcripts, but is {size}; lower it, or "
            "add transcripts."
        )
    if match := _TOO_SMALL.search(message):
        return (
            f"--size must be at least {match[1]} for these transcripts, a piece for each of their "
            f"characters, but is {size}; raise it."
        )
    return f"The transcripts must give a SentencePiece vocabulary of {size}, but: {message}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file; it appears at ``path`` whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("manifests", type=Path, nargs="+", metavar="manifest", help="manifest with transcripts")
    add("--output", type=Path, required=True, help="model file to write, such as spm.model")
    add(
        "--size",
        type=command.positive_integer,
        default=1_500,
        help="number of pieces (default: %(default)s)",
    )
    add("--model-type", choices=MODEL_TYPES, default="unigram", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    main()
