"""Counts the tensors of a real run, as a plan counts those of a run on sizes alone."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fairseq_audiochat.plan.live_bytes import LiveBytes


class Counting(TorchDispatchMode):
    """Everything that is made within is counted."""

    def __init__(self, live: LiveBytes) -> None:
        super().__init__()
        self.live = live

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.live.add(leaf)
        return result
