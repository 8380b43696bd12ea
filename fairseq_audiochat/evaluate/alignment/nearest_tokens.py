"""The vocabulary's entries that embeddings look like.

Knows neither tokens' names nor where the embeddings are from.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_ENTRIES_AT_A_TIME = 8_192  # of a vocabulary in half precision, in fp32: 128 MB at width 4,096
_QUERIES_AT_A_TIME = 4_096  # their cosines with so many entries: 128 MB


def nearest_tokens(embeddings: Tensor, vocabulary: Tensor, k: int) -> Tensor:
    """The ids of the k entries with the largest cosines, the nearest first.

    Args:
        embeddings: ``(N, D)``.
        vocabulary: ``(V, D)``, in any dtype; V is at least k.
        k: How many.

    Returns:
        Int64 ``(N, k)``.
    """
    blocks = embeddings.split(_QUERIES_AT_A_TIME)
    return torch.cat([_nearest(F.normalize(x.float(), dim=-1), vocabulary, k) for x in blocks])


def _nearest(queries: Tensor, vocabulary: Tensor, k: int) -> Tensor:
    cosines = queries.new_empty(len(queries), 0)
    ids = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
    for start in range(0, len(vocabulary), _ENTRIES_AT_A_TIME):
        entries = F.normalize(vocabulary[start : start + _ENTRIES_AT_A_TIME].float(), dim=-1)
        numbers = torch.arange(start, start + len(entries), device=queries.device)
        cosines = torch.cat((cosines, queries @ entries.T), dim=1)
        ids = torch.cat((ids, numbers.expand(len(queries), -1)), dim=1)
        cosines, best = cosines.topk(min(k, cosines.size(1)), dim=1)
        ids = ids.gather(1, best)
    return ids
