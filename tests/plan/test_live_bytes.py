"""Bytes that are alive, counted by hand."""

import torch

from fairseq_audiochat.plan.live_bytes import LiveBytes


def test_a_storage_counts_once_and_until_its_end():
    live = LiveBytes()
    tensor = torch.zeros(100)  # 400 bytes
    live.add(tensor)
    live.add(tensor.view(10, 10)[3:])
    assert (live.now, live.peak) == (400, 400)
    view = tensor[:1]
    del tensor
    assert live.now == 400  # the view holds all of it
    del view
    assert (live.now, live.peak) == (0, 400)


def test_sizes_without_memory_count_too_and_the_peak_knows_its_part():
    live = LiveBytes()
    with live.part("first"):
        first = torch.empty(1 << 40, dtype=torch.float16, device="meta")
        live.add(first)
        with live.part("second"):
            live.add(torch.empty(8, device="meta"))  # gone at once
        assert live.peak_part == "second"
    live.add(torch.empty(4, device="meta"))  # less than the peak
    assert (live.now, live.peak, live.peak_part) == (2 << 40, (2 << 40) + 32, "second")
