"""The criterion ``audio_ctc``: CTC in nats, word errors in validation, nothing hidden."""

import logging
import math
from typing import Any, Dict, List, Set, Tuple

from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor, nn

from fairseq_audiochat.metrics.word_errors import word_errors
from fairseq_audiochat.modules.ctc_decoding import greedy_decode
from fairseq_audiochat.modules.losses import ctc_loss

logger = logging.getLogger(__name__)


@register_criterion("audio_ctc", dataclass=FairseqDataclass)
class AudioCtcCriterion(FairseqCriterion):
    """CTC over the task's vocabulary."""

    def __init__(self, task: Any) -> None:
        super().__init__(task)
        self._reported: Set[str] = set()
        self._has_unknown = False

    def forward(
        self, model: nn.Module, sample: Dict[str, Any], reduce: bool = True
    ) -> Tuple[Tensor, int, Dict[str, Any]]:
        """Loss in nats, the number of pieces that it is over, and the log's counts."""
        logits, lengths = model(**sample["net_input"])
        blank = self.task.vocabulary.blank
        loss, feasible = ctc_loss(
            logits, lengths, sample["target"], sample["target_lengths"], blank
        )
        self._report_infeasible(sample, lengths, feasible)
        sample_size = int(sample["target_lengths"][feasible].sum())
        counts = {
            "loss": loss.detach(),
            "sample_size": sample_size,
            "ntokens": sample["ntokens"],
            "nsentences": sample["nsentences"],
            "infeasible": int((~feasible).sum()),
            "unknown": self._count_unknown(sample),
        }
        if not model.training:
            paths = greedy_decode(logits, lengths, blank)
            errors = word_errors(sample["transcripts"], self.task.decode_all(paths))
            counts.update(word_errors=errors.errors, words=errors.words)
        return loss, sample_size, counts

    def _count_unknown(self, sample: Dict[str, Any]) -> int:
        """Pieces for characters that the vocabulary lacks; the first utterance is named."""
        per_utterance = (sample["target"] == self.task.vocabulary.unk).sum(1)
        total = int(per_utterance.sum())
        if total and not self._has_unknown:
            self._has_unknown = True
            utterance = sample["utterance_ids"][int(per_utterance.argmax())]
            logger.warning(
                "transcripts should have the vocabulary's characters only, but that of utterance "
                "%r has others, which are trained as <unk> and counted as 'unknown'",
                utterance,
            )
        return total

    def _report_infeasible(self, sample: Dict[str, Any], lengths: Tensor, feasible: Tensor) -> None:
        for row in (~feasible).nonzero().flatten().tolist():
            utterance = sample["utterance_ids"][row]
            if utterance not in self._reported:
                self._reported.add(utterance)
                logger.warning(
                    "utterance %r: the transcript must fit into the encoder's frames, but has %d "
                    "pieces for %d frames of 80 ms; it is left out of the loss",
                    utterance,
                    sample["target_lengths"][row],
                    lengths[row],
                )

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log nats per piece, the word error rate, and how many utterances did not fit."""
        total = {
            key: sum(float(output.get(key, 0)) for output in logging_outputs)
            for key in ("loss", "sample_size", "infeasible", "unknown", "word_errors", "words")
        }
        pieces = total["sample_size"]
        loss = total["loss"] / pieces if pieces else math.nan  # 0 would be the best checkpoint
        metrics.log_scalar("loss", loss, pieces, round=4)
        metrics.log_scalar_sum("infeasible", total["infeasible"])
        metrics.log_scalar_sum("unknown", total["unknown"])
        if total["words"]:
            metrics.log_scalar_sum("_word_errors", total["word_errors"])
            metrics.log_scalar_sum("_words", total["words"])
            metrics.log_derived(
                "wer", lambda meters: 100.0 * meters["_word_errors"].sum / meters["_words"].sum
            )

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """All entries are counts."""
        return True
