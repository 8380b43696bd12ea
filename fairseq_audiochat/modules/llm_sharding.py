"""An LLM larger than one device: processes keep parts of its layers and gather each for use.

torch's FSDP2 does it. The layers are frozen, so that gathering them is all that the processes
exchange for them: no gradient is reduced, no optimizer is sharded. Knows neither batches nor
who waits for whom: every process must run the layers equally often, or all wait for ever.
"""

import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointWrapper
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers.modeling_layers import GradientCheckpointingLayer

from fairseq_audiochat.modules.frozen_llm import FrozenLlm


def shard_layers(llm: FrozenLlm, processes: int) -> None:
    """Let every process keep its part of each layer's weights; embeddings and head stay whole.

    Call it after `FrozenLlm.checkpoint_activations`.

    Args:
        llm: The LLM, the same in all processes of the default group; on the CPU, from where each
            layer's part goes to the process's device.
        processes: How many share one copy: neighbours in rank.

    Raises:
        ValueError: If the number of processes is no multiple of it.
    """
    world = dist.get_world_size()
    if world % processes:
        raise ValueError(
            f"--llm-shards must divide the number of processes, but is {processes} with {world}; "
            "choose the number of devices of a machine, or a part of it."
        )
    device = "cuda" if "nccl" in dist.get_backend() else "cpu"
    meshes = init_device_mesh(
        device, (world // processes, processes), mesh_dim_names=("copy", "shard")
    )
    base, layers = llm.causal_lm.base_model, _layers(llm)
    in_layers = {parameter for layer in layers for parameter in layer.parameters()}
    rest = set(base.parameters()) - in_layers
    for layer in layers:
        fully_shard(layer, mesh=meshes["shard"])
    # The root, which lets a layer be gathered while the one before it computes.
    fully_shard(base, mesh=meshes["shard"], ignored_params=rest)


def _layers(llm: FrozenLlm) -> list[nn.Module]:
    """The LLM's layers, in their wrappers if activations are computed again."""
    modules = list(llm.causal_lm.base_model.modules())
    wrapped: list[nn.Module] = [m for m in modules if isinstance(m, CheckpointWrapper)]
    return wrapped or [m for m in modules if isinstance(m, GradientCheckpointingLayer)]
