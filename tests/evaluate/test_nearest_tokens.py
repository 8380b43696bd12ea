"""The nearest entries, against the cosines of all."""

import pytest
import torch
import torch.nn.functional as F

from fairseq_audiochat.evaluate.alignment import nearest_tokens as module
from fairseq_audiochat.evaluate.alignment.nearest_tokens import nearest_tokens


@pytest.mark.parametrize(("entries", "queries"), [(2, 100), (7, 4), (30, 6), (1_000, 1)])
@pytest.mark.parametrize("k", [1, 5, 30])
def test_blocks_give_what_all_cosines_give(monkeypatch, entries, queries, k):
    monkeypatch.setattr(module, "_ENTRIES_AT_A_TIME", entries)
    monkeypatch.setattr(module, "_QUERIES_AT_A_TIME", queries)
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(6, 8, generator=generator)
    vocabulary = torch.randn(30, 8, generator=generator) * torch.arange(1, 31).unsqueeze(1)
    cosines = F.cosine_similarity(embeddings.unsqueeze(1), vocabulary.unsqueeze(0), dim=2)
    expected = cosines.argsort(dim=1, descending=True)[:, :k]
    assert torch.equal(nearest_tokens(embeddings, vocabulary, k), expected)


def test_length_of_an_entry_does_not_matter():
    vocabulary = torch.tensor([[100.0, 90.0], [0.01, 0.0], [0.0, 0.0]])  # the last one: padding
    assert nearest_tokens(torch.tensor([[1.0, 0.1]]), vocabulary, 3).tolist() == [[1, 0, 2]]


def test_vocabularies_in_half_precision():
    vocabulary = torch.eye(4, dtype=torch.bfloat16)
    assert nearest_tokens(torch.eye(4)[[2, 0]], vocabulary, 1).tolist() == [[2], [0]]
