"""What one GPU holds at the peak of a training update: the update itself, run on sizes alone.

Knows neither files nor how the figures are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.optim import build_optimizer
from omegaconf import DictConfig
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from fairseq_audiochat.plan.live_bytes import LiveBytes
from fairseq_audiochat.plan.planned_tasks import PlannedTask
from fairseq_audiochat.plan.sizes_only import SizesOnly


@dataclass
class Memory:
    """Bytes on one GPU.

    Args:
        trained: Parameters that are trained, by part.
        frozen: Parameters that are not, by part.
        weights: Bytes of both, by part.
        gradients: Of what is trained.
        optimizer: Its states.
        buckets: In which gradients travel between processes.
        checkpoint: A file with what is trained and the optimiser's states.
        kept: What each part of the forward pass leaves for the backward pass.
        peak: All together at the worst moment, the buckets not among it.
        peak_part: What is going on then.
    """

    trained: dict[str, int] = field(default_factory=dict)
    frozen: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    gradients: int = 0
    optimizer: int = 0
    buckets: int = 0
    checkpoint: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    peak_part: str = ""

    @property
    def activations(self) -> int:
        """What the peak has above weights, gradients and optimiser."""
        return self.peak - sum(self.weights.values()) - self.gradients - self.optimizer

    @property
    def total(self) -> int:
        """The peak, and the buckets."""
        return self.peak + self.buckets


def build(task: PlannedTask, cfg: DictConfig) -> Any:
    """The model, on the meta device."""
    with SizesOnly(torch.device("cpu"), LiveBytes()), torch.device("meta"):
        return task.build_model(cfg.model)


def of_update(task: PlannedTask, cfg: DictConfig, sample: Any, device: torch.device) -> Memory:
    """Run an update with a batch.

    Args:
        task: Gives model and criterion.
        cfg: The training's configuration.
        sample: The batch, on the CPU; its features are replaced by their sizes.
        device: What is planned for.
    """
    model = build(task, cfg)
    memory = Memory()
    _count_parameters(model, memory)
    live = LiveBytes()
    sample = tree_map_only(Tensor, _without_values, sample)
    for tensor in [*model.parameters(), *model.buffers(), *tree_leaves(sample)]:
        if isinstance(tensor, Tensor) and tensor.is_meta:
            live.add(tensor)
    with SizesOnly(device, live):
        for owner, name, part in _parts(model):
            _observe(owner, name, part, live, memory.kept)
        _update(task, model, cfg, sample, live, memory)
    memory.peak, memory.peak_part = live.peak, live.peak_part
    return memory


def _update(
    task: PlannedTask, model: Any, cfg: DictConfig, sample: Any, live: LiveBytes, memory: Memory
) -> None:
    criterion = task.build_criterion(cfg.criterion)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = build_optimizer(cfg.optimizer, trained)
    _observe(optimizer, "backward", "backward pass", live, {})
    _train_step(task, model, criterion, optimizer, sample, live)
    memory.gradients = sum(_bytes(parameter.grad) for parameter in trained)
    before = live.now
    with live.part("optimiser"):
        optimizer.step()
    memory.optimizer = live.now - before
    if max(cfg.optimization.update_freq) == 1:
        optimizer.zero_grad()
    # The worst: the optimiser's states are there, and with accumulation the gradients, too.
    _train_step(task, model, criterion, optimizer, sample, live)
    training = cfg.distributed_training
    if training.distributed_world_size > 1 and not training.gradient_as_bucket_view:
        memory.buckets = memory.gradients
    memory.checkpoint = memory.optimizer + sum(map(_bytes, model.state_dict().values()))


def _train_step(
    task: PlannedTask, model: Any, criterion: Any, optimizer: Any, sample: Any, live: LiveBytes
) -> None:
    with live.part("loss"):
        task.train_step(sample, model, criterion, optimizer, update_num=0)


def _count_parameters(model: Any, memory: Memory) -> None:
    for name, parameter in model.named_parameters():
        part = _part_of(name)
        counts = memory.trained if parameter.requires_grad else memory.frozen
        counts[part] = counts.get(part, 0) + parameter.numel()
        memory.weights[part] = memory.weights.get(part, 0) + _bytes(parameter)


def _part_of(name: str) -> str:
    for prefix, part in (
        ("encoder.audio_encoder.", "encoder"),
        ("encoder.adapter.", "adapter"),
        ("decoder.", "LLM"),
        ("head.", "CTC head"),
    ):
        if name.startswith(prefix):
            return part
    return "encoder"


def _parts(model: Any) -> "list[tuple[Any, str, str]]":
    """The functions whose remains are counted, by part."""
    if not hasattr(model, "decoder"):
        return [(model.encoder, "forward", "encoder"), (model.head, "forward", "CTC head")]
    return [
        (model.encoder.audio_encoder, "forward", "encoder"),
        (model.encoder.adapter, "forward", "adapter"),
        (model.decoder.llm, "read_prefix", "LLM, the fixed prefix"),
        (model.decoder.llm, "packed_hidden", "LLM"),
    ]


def _observe(owner: Any, name: str, part: str, live: LiveBytes, kept: dict[str, int]) -> None:
    """Let a function note what it leaves behind."""
    function: Callable[..., Any] = getattr(owner, name)

    def observed(*args: Any, **kwargs: Any) -> Any:
        before = live.now
        with live.part(part):
            result = function(*args, **kwargs)
        kept[part] = live.now - before
        return result

    setattr(owner, name, observed)


def _without_values(tensor: Tensor) -> Tensor:
    return tensor.to("meta") if tensor.is_floating_point() else tensor


def _bytes(what: Any) -> int:
    """Of all tensors in a tree."""
    total = 0

    def add(tensor: Tensor) -> None:
        nonlocal total
        total += tensor.numel() * tensor.element_size()

    tree_map_only(Tensor, add, what)
    return total
