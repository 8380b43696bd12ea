"""The buffered cache holds what transformers' own cache would."""

import pytest
import torch
from transformers import DynamicCache

from fairseq_audiochat.modules.beam_cache import BeamCache, BufferedLayer


def test_equal_to_transformers_cache_while_it_grows():
    torch.manual_seed(0)
    ours, theirs = BeamCache(layers=2, spare=3), DynamicCache()
    for entries in (4, 1, 1, 1, 5, 1):  # the third and fifth need new buffers
        for layer in range(2):
            new = torch.randn(2, 2, 3, entries, 5)  # keys and values: (B, H, entries, d)
            for mine, expected in zip(ours.update(*new, layer), theirs.update(*new, layer)):
                assert torch.equal(mine, expected)
    assert ours.get_seq_length() == theirs.get_seq_length() == 13


def test_entries_are_written_in_place_while_there_is_room():
    cache = BeamCache(layers=1, spare=2)
    cache.update(torch.zeros(1, 1, 4, 2), torch.zeros(1, 1, 4, 2), 0)
    buffer = cache.layers[0].keys.data_ptr()
    cache.update(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), 0)
    assert cache.layers[0].keys.data_ptr() == buffer
    cache.update(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 2), 0)
    assert cache.layers[0].keys.data_ptr() != buffer


def test_kept_entries_are_chosen_per_utterance():
    cache = BeamCache(layers=1, spare=1)
    keys = torch.arange(8.0).view(2, 1, 4, 1)
    cache.update(keys, -keys, 0)
    buffer = cache.layers[0].keys.data_ptr()
    cache.keep(torch.tensor([[0, 3], [1, 2]]))
    assert cache.layers[0].keys.data_ptr() == buffer
    new = torch.tensor([[[[90.0]]], [[[91.0]]]])
    kept_keys, kept_values = cache.update(new, -new, 0)
    assert kept_keys.flatten(1).tolist() == [[0.0, 3.0, 90.0], [5.0, 6.0, 91.0]]
    assert torch.equal(kept_values, -kept_keys)


def test_finished_utterances_leave():
    cache = BeamCache(layers=1, spare=1)
    keys = torch.arange(6.0).view(3, 1, 2, 1)
    cache.update(keys, keys, 0)
    cache.batch_select_indices(torch.tensor([2]))
    assert cache.update(keys[:1, :, :1], keys[:1, :, :1], 0)[0].flatten().tolist() == [4, 5, 0]


def test_entries_that_stay_where_they_are_are_not_moved():
    cache = BeamCache(layers=1, spare=1)
    keys = torch.arange(10.0).view(2, 1, 5, 1)
    cache.update(keys, keys, 0)
    moved = []
    cache.layers[0].keep = lambda entries, start: moved.append((entries.tolist(), start))
    cache.keep(torch.tensor([[0, 1, 2, 4], [0, 1, 3, 4]]))
    assert moved == [([[2, 4], [3, 4]], 2)]


def test_what_stands_behind_a_cut_is_written_over():
    cache = BeamCache(layers=1, spare=3)
    keys = torch.arange(5.0).view(1, 1, 5, 1)
    cache.update(keys, keys, 0)
    cache.cut(2)
    assert cache.get_seq_length() == 2
    kept, _ = cache.update(keys[:, :, 4:], keys[:, :, 4:], 0)
    assert kept.flatten().tolist() == [0, 1, 4]


def test_an_interrupt_while_a_buffer_grows_does_no_harm(monkeypatch: pytest.MonkeyPatch):
    """Between the two assignments of new buffers."""
    cache = BeamCache(layers=1, spare=1)
    keys = torch.arange(4.0).view(1, 1, 4, 1)
    cache.update(keys, -keys, 0)
    assigned = []

    def interrupted(layer: BufferedLayer, name: str, value: object) -> None:
        if name in ("keys", "values"):
            assigned.append(name)
            if len(assigned) == 2:
                raise KeyboardInterrupt
        object.__setattr__(layer, name, value)

    with monkeypatch.context() as patch:
        patch.setattr(BufferedLayer, "__setattr__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache.update(keys, -keys, 0)
    cache.cut(4)
    for mine, sign in zip(cache.update(keys, -keys, 0), (1, -1)):
        assert mine.flatten().tolist() == [sign * entry for entry in (0, 1, 2, 3) * 2]
