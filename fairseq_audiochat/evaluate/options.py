"""The options that every command with models shares, and what they name."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fairseq_audiochat.evaluate.arms import CASCADE, END_TO_END, NOTHING, TEXT, Arm, Systems
from fairseq_audiochat.evaluate.run_record import remember_run
from fairseq_audiochat.evaluate.speech_test_set import SpeechTestSet, name_of
from fairseq_audiochat.modules.llm_quantisation import QUANTISATIONS
from fairseq_audiochat.modules.precision import DTYPES
from fairseq_audiochat.tasks._chunking import chunks_of_seconds

_REFERENCE = "reference text"
_NOTHING = "nothing in the prompt"


@dataclass(frozen=True)
class Setup:
    """What an evaluation runs on.

    Args:
        systems: The LLM, which opens arms.
        arms: In the order of the tables.
        test_sets: Likewise.
        output: The output folder.
        batch_size: Utterances at a time.
        num_workers: Processes that read recordings.
        seed: Of the statistics.
    """

    systems: Systems
    arms: Sequence[Arm]
    test_sets: Sequence[SpeechTestSet]
    output: Path
    batch_size: int
    num_workers: int
    seed: int

    def remember(self, read: Sequence[Path], **settings: Any) -> None:
        """Write or extend the output folder's ``run.json``; see `remember_run`.

        Args:
            read: The file that was read beside each test set's manifest.
            **settings: The command's own.
        """
        described = {
            "llm": self.systems.describe(),
            "arms": {arm.name: arm.describe() for arm in self.arms},
            "test_sets": {
                test_set.name: test_set.describe(path)
                for test_set, path in zip(self.test_sets, read)
            },
            "seed": self.seed,
        }
        remember_run(self.output, {**described, **settings})


def add_setup(parser: argparse.ArgumentParser) -> None:
    """The options that `read_setup` reads."""
    add_listening(parser)
    _add_named(parser, "--cascade", "CHECKPOINT", "of audio_ctc, before the LLM; likewise")
    parser.add_argument(
        "--nothing", action="store_true", help="add a control: nothing in the prompt"
    )


def add_llm(parser: argparse.ArgumentParser) -> None:
    """Those of them that every command with an LLM has."""
    add = parser.add_argument
    add("--llm", type=Path, required=True, help="folder of the chat LLM")
    add("--llm-dtype", choices=DTYPES, default="float32", help="in which it computes (float32)")
    add("--device", default=None, help="of torch (a GPU if there is one)")


def add_listening(parser: argparse.ArgumentParser) -> None:
    """Those of them that a command has which knows neither cascades nor controls."""
    add_llm(parser)
    add = parser.add_argument
    add(
        "--llm-quantisation",
        choices=list(QUANTISATIONS),
        default="none",
        help="how its weights are held (none)",
    )
    _add_named(parser, "--test-set", "FOLDER/SPLIT.tsv", "a manifest; may be given several times")
    _add_named(parser, "--end-to-end", "CHECKPOINT", "of audio_chat; likewise")
    add("--chunk-seconds", type=float, help="encode longer recordings in chunks (whole)")
    add(
        "--chunk-overlap-seconds", type=float, default=4.0, help="common to neighbouring chunks (4)"
    )
    add("--output", type=Path, required=True, help="folder for records, tables and pictures")
    add("--batch-size", type=int, default=8, help="utterances at a time (8)")
    add("--num-workers", type=int, default=0, help="processes that read recordings (0: this one)")
    add("--seed", type=int, default=1, help="of the statistics (1)")


def _add_named(parser: argparse.ArgumentParser, option: str, what: str, meaning: str) -> None:
    parser.add_argument(
        option,
        action="append",
        default=[],
        type=named_path,
        metavar=f"[NAME=]{what}",
        help=meaning,
    )


def named_path(text: str) -> tuple[str, Path]:
    """``NAME=PATH``, or a path alone: its name is then made from it."""
    name, equals, path = text.partition("=")
    return (name, Path(path)) if equals else ("", Path(text))


def read_setup(args: argparse.Namespace) -> Setup:
    """Check the options.

    Raises:
        FileNotFoundError: If the LLM's folder is missing.
        ValueError: If a name is given twice, or cannot name a file.
    """
    if not args.test_set:
        raise ValueError("--test-set must be given at least once, but is not; name a manifest.")
    chunks = chunks_of_seconds(args.chunk_seconds, args.chunk_overlap_seconds)
    arms = [Arm(_REFERENCE, TEXT)]
    for kind, given in ((END_TO_END, args.end_to_end), (CASCADE, getattr(args, "cascade", []))):
        arms += [Arm(name or _arm_name(kind, path), kind, path, chunks) for name, path in given]
    if getattr(args, "nothing", False):
        arms.append(Arm(_NOTHING, NOTHING))
    test_sets = [SpeechTestSet(name or name_of(path), path) for name, path in args.test_set]
    check_names([arm.name for arm in arms], "--end-to-end and --cascade")
    check_names([test_set.name for test_set in test_sets], "--test-set")
    return Setup(
        Systems(args.llm, args.llm_dtype, args.llm_quantisation, read_device(args)),
        arms,
        test_sets,
        args.output,
        args.batch_size,
        args.num_workers,
        args.seed,
    )


def read_device(args: argparse.Namespace) -> torch.device:
    """Where to compute."""
    return torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _arm_name(kind: str, path: Path) -> str:
    """The folder's name tells more than that of ``checkpoint_best.pt``."""
    return f"{kind} {path.resolve().parent.name} {path.stem.removeprefix('checkpoint_')}"


def check_names(names: Sequence[str], option: str) -> None:
    """See that names are different and can name files.

    Raises:
        ValueError: If they are not; it names the ``option``.
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"{option}: every name must be given once, but {name!r} is given "
                f"{names.count(name)} times; put NAME= before the paths."
            )
        if "/" in name or name.startswith("."):
            raise ValueError(
                f"{option}: a name must be able to name a file, but is {name!r}; leave out the "
                "slash, or the dot at its beginning."
            )
