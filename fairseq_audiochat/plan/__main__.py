"""``python -m fairseq_audiochat.plan``: what a training will need, before it is started.

    python -m fairseq_audiochat.plan --config-dir examples/mls_llama2/config --config-name chat \
        task.llm=/path/to/Llama-2-7b-chat-hf task.data=/path/to/data
    python -m fairseq_audiochat.plan data --task audio_ctc --arch conformer_ctc_18l ...

Takes the arguments of fairseq-hydra-train or those of fairseq-train. Where the data folder or a
file in it is missing, a training set is assumed, by default MLS English.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch

import fairseq_audiochat  # noqa: F401  registers
from fairseq_audiochat.plan import configuration, report
from fairseq_audiochat.plan.assumptions import Assumptions
from fairseq_audiochat.plan.training_plan import TrainingPlan, plan
from fairseq_audiochat.program import exit_code

_HELP = {
    "utterances": "of the training set",
    "hours": "of the training set",
    "shortest": "seconds of its shortest utterance",
    "longest": "seconds of its longest utterance",
    "tokens_per_second": "of its transcripts: the LLM's, or pieces of the CTC vocabulary",
    "response_factor": "tokens of a response per token of its transcript",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the plan; gives the program's exit code, 1 if the training will not fit."""
    own, others = parser().parse_known_args(arguments)
    return exit_code(lambda: run(own, others))


def run(own: argparse.Namespace, others: Sequence[str]) -> int:
    """Make the plan and print it; gives 1 if the training will not fit.

    Args:
        own: Our own options.
        others: fairseq's.
    """
    assumed = Assumptions(**{name: getattr(own, name) for name in _HELP})
    if own.config_name:
        cfg = configuration.from_hydra(own.config_dir, own.config_name, others)
    else:
        cfg = configuration.from_flags(others)
    return show(plan(cfg, assumed), own.gpu_memory_gb or _memory_of_this_gpu())


def show(made: TrainingPlan, gpu_memory_gb: float | None) -> int:
    """Print a plan; gives 1 if it will not fit."""
    for note in made.notes:
        print(f"Note: {note}.")
    plain, checkpointed = made.memory[False], made.memory[True]
    for line in (
        *report.parameter_lines(plain),
        *report.schedule_lines(made.schedule, made.positions_are),
        *report.memory_lines(plain, checkpointed),
        *report.disk_lines(plain, made.schedule),
    ):
        print(line)
    if gpu_memory_gb is None:
        return 0
    chosen, other = made.memory[made.is_checkpointed], made.memory[not made.is_checkpointed]
    verdict = report.verdict(chosen, other, made.is_checkpointed, gpu_memory_gb)
    print(verdict)
    return int(verdict.startswith("WARNING"))


def parser() -> argparse.ArgumentParser:
    """Our own options; the rest is fairseq's."""
    made = argparse.ArgumentParser(
        prog="python -m fairseq_audiochat.plan",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--config-dir", type=Path, default=Path(), help="folder of the YAML file")
    made.add_argument("--config-name", help="the YAML file's name, without .yaml")
    made.add_argument(
        "--gpu-memory-gb",
        type=float,
        help="of one GPU, in GB of 2^30 bytes; by default that of the GPU here, if there is one",
    )
    group = made.add_argument_group("assumed where there is no data")
    for item in fields(Assumptions):
        group.add_argument(
            f"--{item.name.replace('_', '-')}",
            type=type(item.default),
            default=item.default,
            help=f"{_HELP[item.name]} (default %(default)s)",
        )
    return made


def _memory_of_this_gpu() -> float | None:
    if not torch.cuda.is_available():
        return None
    return float(torch.cuda.get_device_properties(0).total_memory / report.GB)


if __name__ == "__main__":
    sys.exit(main())
