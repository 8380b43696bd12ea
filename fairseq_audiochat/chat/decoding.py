"""How an answer is found: greedily, by beam search or by sampling.

Knows no model: it is what a user sets, checked.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decoding:
    """The most probable token at a time, unless other values say otherwise; never an empty answer.

    Args:
        max_new_tokens: Longest answer, in tokens.
        beam: Beams of fairseq's search; 1 is no search.
        length_penalty: The search divides scores by the length to this power (``--lenpen``).
        temperature: Above 0, tokens are drawn; logits are divided by it.
        top_k: Draw from the k most probable tokens only; 0 is all.
        top_p: Draw from the fewest most probable tokens that have this much probability together.
        seed: Of what is drawn: the same one gives the same answer, alone and in a batch. None
            gives another answer each time.

    Raises:
        ValueError: If a value is out of its range, or an option is given that plays no part.
    """

    max_new_tokens: int = 200
    beam: int = 1
    length_penalty: float = 1.0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        self._check("max_new_tokens", "at least 1", self.max_new_tokens >= 1)
        self._check("beam", "at least 1", self.beam >= 1)
        self._check("temperature", "at least 0", self.temperature >= 0)
        self._check("top_k", "at least 0", self.top_k >= 0)
        self._check("top_p", "above 0 and at most 1", 0 < self.top_p <= 1)
        if self.is_sampling:
            self._check("beam", "1 with a temperature above 0", self.beam == 1)
        else:
            self._check("top_k", "0 without a temperature above 0", self.top_k == 0)
            self._check("top_p", "1 without a temperature above 0", self.top_p == 1)
        if self.beam == 1:
            self._check("length_penalty", "1 without a beam above 1", self.length_penalty == 1)

    @property
    def is_sampling(self) -> bool:
        """Whether tokens are drawn."""
        return self.temperature > 0

    def _check(self, name: str, rule: str, holds: bool) -> None:
        if not holds:
            raise ValueError(f"{name} must be {rule}, but is {getattr(self, name)}.")
