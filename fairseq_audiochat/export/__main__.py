"""``python -m fairseq_audiochat.export``: a checkpoint as a folder to publish, and back.

    python -m fairseq_audiochat.export checkpoints/chat/checkpoint_best.pt published
    python -m fairseq_audiochat.export --back published checkpoint.pt

The folder holds what was trained, and nothing of the LLM. It can be given wherever a checkpoint is
read; a checkpoint's file is only needed to train on from it (``--finetune-from-model``).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

import fairseq_audiochat
from fairseq_audiochat import saving
from fairseq_audiochat.export.checkpoint import TrainedCheckpoint
from fairseq_audiochat.export.description import Description
from fairseq_audiochat.export.folder import VOCABULARY, WEIGHTS, digest_of, read_folder
from fairseq_audiochat.export.llm_identity import describe_llm
from fairseq_audiochat.export.model_card import model_card
from fairseq_audiochat.export.state import to_state
from fairseq_audiochat.export.whole_folder import (
    WholeFolder,
    refuse_existing,
    write_texts,
    write_weights,
)
from fairseq_audiochat.modules.precision import DTYPES
from fairseq_audiochat.program import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives the program's exit code."""
    args = parser().parse_args(arguments)
    return exit_code(lambda: print(back(args) if args.back else export(args)))


def export(args: argparse.Namespace) -> str:
    """Write the folder of a checkpoint; gives a sentence that says what is there."""
    folder: Path = args.target
    refuse_existing(folder)  # before minutes of reading
    checkpoint = TrainedCheckpoint(args.source, args.ema)
    llm = describe_llm(checkpoint, args.llm, args.llm_name)
    tensors = checkpoint.tensors(getattr(torch, args.dtype))
    with WholeFolder(folder) as unfinished:
        write_weights(unfinished, tensors, checkpoint.vocabulary)
        description = Description(
            architecture=checkpoint.architecture.name,
            model=checkpoint.model_settings(),
            task=checkpoint.task_settings(),
            llm=llm,
            weights={
                "dtype": args.dtype,
                "ema": args.ema,
                "parameters": sum(tensor.numel() for tensor in tensors.values()),
            },
            origin={"checkpoint_sha256": digest_of(args.source), "updates": checkpoint.updates},
            files={
                name: digest_of(unfinished / name)
                for name in (WEIGHTS, VOCABULARY)
                if (unfinished / name).exists()
            },
            program=fairseq_audiochat.__version__,
        )
        write_texts(unfinished, description, model_card(description, args.license))
        read_folder(unfinished)  # what is published can be read
    return _sentence(folder, description)


def back(args: argparse.Namespace) -> str:
    """Write the checkpoint of a folder; gives a sentence that says what is there.

    Raises:
        ValueError: If an option is given that is about the folder.
    """
    if args != parser().parse_args(["--back", str(args.source), str(args.target)]):
        raise ValueError(
            "--back must come alone, with FOLDER and CHECKPOINT, but other options were given too; "
            "leave them away."
        )
    refuse_existing(args.target)
    exported = read_folder(args.source)
    saving.save(to_state(exported), str(args.target))
    return _sentence(args.target, exported.description)


def _sentence(path: Path, description: Description) -> str:
    files = path.iterdir() if path.is_dir() else [path]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    belongs = "" if description.llm is None else f" for {description.llm['name']}"
    return (
        f"{path}: {description.architecture}{belongs}, {description.weights['parameters']:,} "
        f"parameters, {description.origin['updates']:,} updates, {megabytes:,.1f} MB"
    )


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m fairseq_audiochat.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("source", metavar="CHECKPOINT", type=Path, help="file that training wrote")
    made.add_argument("target", metavar="FOLDER", type=Path, help="to write; must not exist yet")
    made.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="of the stored weights (%(default)s)"
    )
    made.add_argument(
        "--ema", action="store_true", help="the weights' average, of a training with --store-ema"
    )
    made.add_argument("--llm", type=Path, help="the LLM's folder (where it was in training)")
    made.add_argument("--llm-name", help="what to call the LLM (as its folder is called)")
    made.add_argument("--license", help="of the weights, for the model card")
    made.add_argument(
        "--back", action="store_true", help="write the CHECKPOINT of a FOLDER; give FOLDER first"
    )
    return made


if __name__ == "__main__":
    sys.exit(main())
