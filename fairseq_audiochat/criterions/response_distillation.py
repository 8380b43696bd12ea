"""The criterion ``response_distillation``: the LLM shall answer speech as it answers text."""

from typing import Any, Dict, List, Tuple

from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor

from fairseq_audiochat.metrics.perplexity import perplexity
from fairseq_audiochat.modules.losses import response_loss


@register_criterion("response_distillation", dataclass=FairseqDataclass)
class ResponseDistillationCriterion(FairseqCriterion):
    """Cross-entropy of the LLM's own response to the transcript (section 3.2)."""

    def forward(
        self, model: Any, sample: Dict[str, Any], reduce: bool = True
    ) -> Tuple[Tensor, int, Dict[str, Any]]:
        """Loss in nats, the number of response tokens, and the log's counts."""
        net_input, target = sample["net_input"], sample["target"]
        hidden = model(**net_input, features_only=True)
        targets = target[target != self.task.target_dictionary.pad()]
        loss, correct = response_loss(hidden, model.decoder.llm.head, targets)
        counts = {
            "loss": loss.detach(),
            "correct": correct,
            "sample_size": sample["ntokens"],
            "ntokens": sample["ntokens"],
            "nsentences": sample["nsentences"],
        }
        return loss, sample["ntokens"], counts

    @staticmethod
    def reduce_metrics(logging_outputs: List[Dict[str, Any]]) -> None:
        """Log nats per token, perplexity, token accuracy, and a cascade's word error rate."""
        total = {
            key: sum(float(output.get(key, 0)) for output in logging_outputs)
            for key in ("loss", "correct", "sample_size", "prompt_word_errors", "prompt_words")
        }
        tokens = total["sample_size"]
        for name, value in (("loss", total["loss"]), ("_correct", total["correct"])):
            metrics.log_scalar(name, value / max(tokens, 1), tokens, round=4)
        metrics.log_derived("ppl", lambda meters: perplexity(meters["loss"].avg, 1))
        metrics.log_derived("accuracy", lambda meters: 100.0 * meters["_correct"].avg)
        if total["prompt_words"]:
            metrics.log_scalar_sum("_prompt_word_errors", total["prompt_word_errors"])
            metrics.log_scalar_sum("_prompt_words", total["prompt_words"])
            metrics.log_derived(
                "prompt_wer",
                lambda meters: (
                    100.0 * meters["_prompt_word_errors"].sum / meters["_prompt_words"].sum
                ),
            )

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """All entries are counts."""
        return True
