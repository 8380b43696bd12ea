"""Keys and values of prompts and of what beams read, in one buffer that is written in place.

transformers' own cache is a new tensor after every token: all keys and values are copied. Here
they stay where they are, and what no beam descends from any more is written over. Knows neither
beams nor the search: it is told which entries to keep.
"""

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer


class BufferedLayer(DynamicLayer):
    """One LLM layer's keys and values ``(B, H, entries, d)``, in a buffer with room to grow.

    Args:
        spare: Entries that a new buffer has room for beyond those that it must hold.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, spare: int) -> None:
        super().__init__()
        self.spare = spare
        self.length = 0

    @property
    def capacity(self) -> int:
        """Entries that the buffer can hold."""
        return self.keys.size(2) if self.is_initialized else 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append entries; gives all, as views of the buffer."""
        start, end = self.length, self.length + key_states.size(2)
        if end > self.capacity:
            self._grow(key_states, value_states, end + self.spare)
        self.length = end
        self.keys[:, :, start:end] = key_states
        self.values[:, :, start:end] = value_states
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Entries that are there."""
        return self.length

    def keep(self, entries: Tensor, start: int) -> None:
        """Leave entries behind.

        Args:
            entries: Which of them stay behind the first ``start``, in order, int64 ``(B, kept)``.
            start: So many stay where they are.
        """
        end = start + entries.size(1)
        for buffer in (self.keys, self.values):
            _, heads, _, width = buffer.shape
            places = entries[:, None, :, None].expand(-1, heads, -1, width)
            buffer[:, :, start:end] = buffer.gather(2, places)
        self.length = end

    def cut(self, length: int) -> None:
        """Forget what stands behind so many entries."""
        self.length = min(self.length, length)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some utterances only."""
        self.keys, self.values = self.keys[indices], self.values[indices]

    def join(self, other: "BufferedLayer") -> None:
        """Take another buffer's utterances behind our own.

        Args:
            other: Their entries begin where ours do; what is missing behind them is zeros.
        """
        length = max(self.length, other.length)
        for name in ("keys", "values"):
            mine, theirs = getattr(self, name), getattr(other, name)
            own, heads, _, width = mine.shape
            # Zeros, because what nobody sees is multiplied by 0, and 0 * NaN is NaN.
            new = mine.new_zeros(own + len(theirs), heads, length + self.spare, width)
            new[:own, :, : self.length] = mine[:, :, : self.length]
            new[own:, :, : other.length] = theirs[:, :, : other.length]
            setattr(self, name, new)
        self.length = length

    def _grow(self, keys: Tensor, values: Tensor, capacity: int) -> None:
        """Take a larger buffer of the kind of ``keys``."""
        # The keys come last, because they tell the capacity: an interrupt in between does no harm.
        for name, like in (("values", values), ("keys", keys)):
            old: Tensor = getattr(self, name)
            batch, heads, _, width = like.shape
            new = like.new_empty(batch, heads, capacity, width)
            if self.length:
                new[:, :, : self.length] = old[:, :, : self.length]
            setattr(self, name, new)
        self.is_initialized = True


class BeamCache(Cache):
    """A `BufferedLayer` for each layer of an LLM.

    Args:
        layers: Number of layers.
        spare: See `BufferedLayer`.
    """

    def __init__(self, layers: int, spare: int) -> None:
        super().__init__(layers=[BufferedLayer(spare) for _ in range(layers)])

    def keep(self, entries: Tensor) -> None:
        """Leave all but some entries of each utterance behind, in every layer.

        Args:
            entries: Their places in order, int64 ``(B, kept)``.
        """
        stays = (entries == torch.arange(entries.size(1), device=entries.device)).all(0)
        start = int(stays.cumprod(0).sum())
        for layer in self.layers:
            layer.keep(entries[:, start:], start)

    def cut(self, length: int) -> None:
        """Forget what stands behind so many entries, in every layer."""
        for layer in self.layers:
            layer.cut(length)

    def join(self, other: "BeamCache") -> None:
        """Take another cache's utterances behind our own, in every layer."""
        for mine, theirs in zip(self.layers, other.layers):
            mine.join(theirs)
