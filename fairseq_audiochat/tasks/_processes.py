"""Whether the processes of a launcher know of each other. Registers nothing."""

import os

import torch


def refuse_unconnected_processes() -> None:
    """Refuse to be one of several processes that each do the whole work over each other's files.

    Raises:
        RuntimeError: If torchrun started several, and fairseq did not connect them.
    """
    connected = torch.distributed.is_available() and torch.distributed.is_initialized()
    processes = int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1
    if processes > 1 and not connected:
        raise RuntimeError(
            f"The {processes} processes that torchrun started must be connected, but are not: "
            "with fairseq-hydra-train give "
            "+hydra.callbacks.cpu._target_=fairseq_audiochat.launch.HydraCallback; for "
            "fairseq-generate use --num-shards and --shard-id in place of torchrun."
        )
