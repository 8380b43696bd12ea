"""``--llm-shards``: what a task does differently when processes share one copy of the LLM."""

import logging
from typing import Any, Dict

import torch

from fairseq_audiochat.modules.frozen_llm import FrozenLlm
from fairseq_audiochat.modules.llm_sharding import shard_layers

logger = logging.getLogger(__name__)


class LlmShards:
    """Whether the LLM is in parts, and what follows from that.

    Args:
        processes: How many share a copy.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.are_made = False
        self._last_scored: Dict[str, Any] = {}

    def make(self, llm: FrozenLlm, checkpoints_activations: bool) -> None:
        """Keep a part of the LLM, if there is somebody to share it with.

        Args:
            llm: The whole one.
            checkpoints_activations: Whether its layers are to be computed again.
        """
        if self.processes == 1 or self.are_made:
            return
        if not torch.distributed.is_initialized():
            logger.warning("--llm-shards: there is one process, which holds the whole LLM")
            return
        if checkpoints_activations:
            llm.checkpoint_activations()
        shard_layers(llm, self.processes)
        self.are_made = True

    def batch_to_take_part_with(self, sample: Dict[str, Any]) -> Dict[str, Any]:
        """What to score, for nothing, so that the others can gather the LLM's layers.

        fairseq-validate fills up the processes' shares with empty batches; fairseq-train hands over
        batches that are not.

        Args:
            sample: The batch to score; perhaps an empty one.

        Returns:
            The last batch if it is empty; and an empty one, which asks for nothing, if it is not.

        Raises:
            ValueError: If there is no last one.
        """
        if not self.are_made:
            return {}
        if sample:
            self._last_scored = sample
            return {}
        if not self._last_scored:
            raise ValueError(
                "--llm-shards must come with at least as many batches as processes, but there are "
                "fewer; give fewer processes or a smaller --batch-size."
            )
        return self._last_scored

    def refuse_search(self) -> None:
        """Utterances differ in steps, and every step would gather.

        Raises:
            ValueError: If the LLM is in parts.
        """
        if self.are_made:
            raise ValueError(
                f"--llm-shards must be 1 in generation, but is {self.processes}; give "
                "fairseq-generate a device that holds the LLM."
            )
