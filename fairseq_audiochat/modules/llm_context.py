"""How many positions an LLM may read, so that no position depends on how many there are.

A sliding window changes nothing within the window, and rotary frequencies that grow with the
sequence (``dynamic``, ``longrope``) nothing within the length that the LLM was first trained on:
up to there, a sequence in a packed row is what it is alone.
"""

from transformers import PretrainedConfig

_GROWING = ("dynamic", "longrope")


def max_positions(config: PretrainedConfig) -> int:
    """Positions of prompt and response together.

    Raises:
        ValueError: If the configuration states no limit.
    """
    stated = getattr(config, "max_position_embeddings", None)
    if stated is None:
        raise ValueError(
            f"The LLM's config.json must state max_position_embeddings, but that of "
            f"{config.model_type!r} does not; this family is not supported."
        )
    limits = [stated, getattr(config, "sliding_window", None), _trained_positions(config)]
    return min(int(limit) for limit in limits if limit is not None)


def _trained_positions(config: PretrainedConfig) -> int | None:
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") not in _GROWING:
        return None
    trained = rope.get("original_max_position_embeddings")
    return trained or getattr(config, "original_max_position_embeddings", None)
