"""Starts the processes of a distributed command on CPUs, where fairseq counts GPUs alone.

fairseq's launcher refuses two processes on a machine without GPUs, and under torchrun divides by
the number of GPUs. Importing the package puts `call_main` in the place of fairseq's, which
fairseq-train and fairseq-validate call after they have imported the user-dir; fairseq-hydra-train
imports it later, and needs `HydraCallback`. On GPUs fairseq's own launcher does it all. Knows
nothing of what the processes compute.
"""

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from fairseq.distributed import utils as distributed_utils
from hydra.experimental.callback import Callback

logger = logging.getLogger(__name__)

_TORCHRUN_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")
_ON_CPU = {  # fairseq's defaults, which need GPUs, and what does the same without
    "distributed_backend": {"nccl": "gloo"},
    "ddp_backend": {"pytorch_ddp": "legacy_ddp", "c10d": "legacy_ddp"},
}
_fairseq_call_main = distributed_utils.call_main


def call_main(cfg: Any, main: Callable[..., None], **kwargs: Any) -> None:
    """Run a command in its process or processes.

    Args:
        cfg: fairseq's whole configuration.
        main: The command, called with it in every process.
        **kwargs: Further arguments of the command.

    Raises:
        ValueError: If an option asks for what cannot be.
    """
    if cfg.common.tpu and cfg.common.bf16:
        raise ValueError(
            "--bf16 must not be given, because fairseq then asks for a TPU; use "
            "--encoder-dtype bfloat16 (and --llm-dtype bfloat16)."
        )
    training = cfg.distributed_training
    torchrun = training.distributed_init_method is None and _is_torchrun()
    if torchrun:  # fairseq forgets to ask where it sees one GPU or none
        training.distributed_world_size = int(os.environ["WORLD_SIZE"])
    on_gpus = torch.cuda.is_available() and not cfg.common.cpu
    if on_gpus or training.distributed_world_size == 1:
        _fairseq_call_main(cfg, main, **kwargs)
        return
    _choose_cpu_backends(training)
    if torchrun:
        training.distributed_init_method = "env://"
        training.distributed_rank = int(os.environ["RANK"])
        training.distributed_no_spawn = True
    if training.distributed_no_spawn:
        run_rank(0, main, cfg, kwargs)
    else:
        _start_ranks(cfg, main, kwargs)


def run_rank(device: int, main: Callable[..., None], cfg: Any, kwargs: "dict[str, Any]") -> None:
    """Run one rank of a command on a CPU.

    Args:
        device: Its number among those that a parent started, which is then its rank.
        main: The command.
        cfg: fairseq's whole configuration.
        kwargs: Further arguments of the command.
    """
    # fairseq would gather objects in a buffer on a GPU, unless it finds one that is there.
    size = cfg.common.all_gather_list_size
    gather = distributed_utils.all_gather_list
    gather._buffer = torch.ByteTensor(size * cfg.distributed_training.distributed_world_size)
    gather._cpu_buffer = torch.ByteTensor(size)
    distributed_utils.distributed_main(device, main, cfg, kwargs)


class HydraCallback(Callback):
    """Hydra imports the module to find this, and so the package before fairseq's launcher runs."""


def _is_torchrun() -> bool:
    """Whether torchrun, or something that sets the same variables, started several processes."""
    started = all(name in os.environ for name in _TORCHRUN_VARIABLES)
    return started and int(os.environ["WORLD_SIZE"]) > 1


def _choose_cpu_backends(training: Any) -> None:
    processes = training.distributed_world_size
    logger.info("%d processes on CPUs (fairseq's default is one for each GPU)", processes)
    for option, substitutes in _ON_CPU.items():
        value = str(training[option])
        if value in substitutes:
            training[option] = substitutes[value]
            logger.info("%s is %s, because %s needs GPUs", option, substitutes[value], value)


def _start_ranks(cfg: Any, main: Callable[..., None], kwargs: "dict[str, Any]") -> None:
    training = cfg.distributed_training
    if training.distributed_init_method is not None:
        raise ValueError(
            "--distributed-init-method must come with --distributed-no-spawn and "
            "--distributed-rank on CPUs, but comes alone; give these too, or use torchrun."
        )
    port = training.distributed_port if training.distributed_port > 0 else _free_port()
    training.distributed_init_method = f"tcp://localhost:{port}"
    training.distributed_rank = None  # the ranks number themselves
    torch.multiprocessing.spawn(  # type: ignore[attr-defined]
        fn=run_rank, args=(main, cfg, kwargs), nprocs=training.distributed_world_size
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port: int = free.getsockname()[1]
        return port


distributed_utils.call_main = call_main
