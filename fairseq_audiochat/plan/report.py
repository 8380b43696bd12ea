"""A plan in words and figures. Works nothing out but sums."""

from collections.abc import Iterator

from fairseq_audiochat.plan.memory import Memory
from fairseq_audiochat.plan.schedule import Schedule

GB = 2**30  # as a GPU's memory is counted
CUDA_BYTES = GB  # assumed: its context, its libraries' workspaces, what no tensor uses


def schedule_lines(schedule: Schedule, positions_are: str) -> Iterator[str]:
    """Updates and epochs.

    Args:
        schedule: The training.
        positions_are: What positions are called.
    """
    yield "An update"
    yield _row("batches", f"{schedule.gpus} GPUs x {schedule.accumulations} accumulations")
    yield _row("utterances", f"{schedule.per_update(schedule.utterances):,.0f}")
    yield _row("seconds of audio", f"{schedule.per_update(schedule.seconds):,.0f}")
    yield _row(positions_are, f"{schedule.per_update(schedule.positions):,.0f}")
    yield "The training"
    epoch = f"{schedule.utterances:,.0f} utterances, {schedule.seconds / 3600:,.0f} hours"
    yield _row("an epoch", f"{schedule.updates_per_epoch:,} updates; {epoch}")
    if schedule.max_update:
        yield _row("max_update", f"{schedule.max_update:,}: {schedule.epochs:.1f} epochs")
        share = schedule.warmup / schedule.max_update
        yield _row("warm-up", f"{schedule.warmup:,} updates ({share:.0%})")


def parameter_lines(memory: Memory) -> Iterator[str]:
    """What is trained, and what is not."""
    yield "Parameters"
    for name, counts in (("trained", memory.trained), ("frozen", memory.frozen)):
        for part, count in counts.items():
            yield _row(part, f"{count:,} {name}")


def memory_lines(plain: Memory, checkpointed: Memory) -> Iterator[str]:
    """A table of what one GPU holds, without and with checkpointed activations."""
    yield "Memory of one GPU, in GB of 2^30 bytes"
    yield _columns("checkpoint_activations", "false", "true")
    both = (plain, checkpointed)
    for part in plain.weights:
        yield _bytes_row(f"weights: {part}", *(memory.weights[part] for memory in both))
    yield _bytes_row("gradients", *(memory.gradients for memory in both))
    yield _bytes_row("optimiser states", *(memory.optimizer for memory in both))
    yield _bytes_row("at the peak above these", *(memory.activations for memory in both))
    for part in plain.kept:
        yield _bytes_row(f"  kept by: {part}", *(memory.kept[part] for memory in both))
    yield _bytes_row("buckets between processes", *(memory.buckets for memory in both))
    yield _bytes_row("together", *(memory.total for memory in both))
    yield _columns("the peak is in", *(memory.peak_part for memory in both))


def disk_lines(memory: Memory, schedule: Schedule) -> Iterator[str]:
    """Checkpoints."""
    yield "Disk"
    one, files = memory.checkpoint / GB, schedule.checkpoints
    yield _row("checkpoints", f"{files} files of {one:.2f} GB: {files * one:.1f} GB")


def verdict(memory: Memory, other: Memory, is_checkpointed: bool, gpu_memory_gb: float) -> str:
    """Whether it fits, in one sentence with numbers.

    Args:
        memory: As the training is configured.
        other: The same with activations checkpointed, or not, the other way round.
        is_checkpointed: Whether the training checkpoints activations.
        gpu_memory_gb: Of one GPU.
    """
    needed = (memory.total + CUDA_BYTES) / GB
    what = f"{needed:.1f} GB with {CUDA_BYTES / GB:.0f} GB for CUDA itself"
    if needed <= gpu_memory_gb:
        return f"It fits: {what}, of {gpu_memory_gb:g} GB."
    way_out = "lower the batch size and raise update_freq, or take a larger GPU"
    other_needs = (other.total + CUDA_BYTES) / GB
    if not is_checkpointed and other_needs <= gpu_memory_gb:
        way_out = f"with model.checkpoint_activations=true it needs {other_needs:.1f} GB"
    return f"WARNING: it will not fit: {what}, but a GPU has {gpu_memory_gb:g} GB; {way_out}."


def _row(name: str, value: str) -> str:
    return f"  {name:<34} {value}"


def _columns(name: str, *values: str) -> str:
    return f"  {name:<34}" + "".join(f" {value:>14}" for value in values)


def _bytes_row(name: str, *values: int) -> str:
    return _columns(name, *(f"{value / GB:.2f}" for value in values))
