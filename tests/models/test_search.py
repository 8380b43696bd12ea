"""Beam search: the shared cache changes nothing but the cost."""

import copy
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from fairseq.models import FairseqDecoder
from fairseq.sequence_generator import SequenceGenerator
from transformers import AutoModelForCausalLM

from fairseq_audiochat.criterions.response_distillation import ResponseDistillationCriterion
from fairseq_audiochat.models.prompt_encoder import prompts_of
from fairseq_audiochat.modules import shared_prefix
from fairseq_audiochat.modules.packed_linear import PackedLinear, can_pack

BEAMS = 10


class UncachedDecoder(FairseqDecoder):
    """Reads every beam from its first token on at every step: an independent reference."""

    def __init__(self, decoder) -> None:
        super().__init__(decoder.dictionary)
        self.decoder = decoder

    def forward(self, prev_output_tokens, encoder_out=None, **kwargs):
        return self.decoder(prev_output_tokens, encoder_out)

    def get_normalized_probs(self, *args, **kwargs):
        return self.decoder.get_normalized_probs(*args, **kwargs)

    def max_positions(self):
        return self.decoder.max_positions()


@pytest.fixture(scope="module")
def chat(data_folder: Path, tmp_path_factory: pytest.TempPathFactory):
    """A model that ends its answers now and then: its EOS scores vary widely."""
    folder = tiny.make_llm(tmp_path_factory.mktemp("search") / "llm", seed=5)
    stock = AutoModelForCausalLM.from_pretrained(folder)
    stock.lm_head.weight.data[2] *= 2.5
    stock.save_pretrained(folder)
    data = tmp_path_factory.mktemp("search_data")
    tiny.make_data(data, folder, dev=7)
    return (*tiny.make_chat(data, folder), stock.eval())


def search(task, model, sample, **options: Any):
    args = SimpleNamespace(beam=BEAMS, max_len_b=14, **options)
    return task.inference_step(task.build_generator([model], args), [model], sample)


def uncached(model):
    slow = type(model)(model.encoder, model.decoder)
    slow.decoder = UncachedDecoder(model.decoder)
    return slow.eval()


def assert_same(hypotheses, expected) -> None:
    assert len(hypotheses) == len(expected)
    for mine, others in zip(hypotheses, expected):
        assert len(mine) == len(others)
        for first, second in zip(mine, others):
            assert first["tokens"].tolist() == second["tokens"].tolist()
            # fp32 sums of up to 15 log-probabilities
            torch.testing.assert_close(first["score"], second["score"], atol=2e-5, rtol=1e-5)
            torch.testing.assert_close(
                first["positional_scores"], second["positional_scores"], atol=1e-4, rtol=1e-4
            )


@pytest.mark.parametrize(
    ("lenpen", "steps_per_clearance", "steps_per_buffer"), [(0.0, 8, 16), (1.0, 1, 1), (1.7, 3, 2)]
)
def test_cached_equals_uncached(
    chat, monkeypatch, lenpen: float, steps_per_clearance: int, steps_per_buffer: int
):
    """Also where dead entries are left behind every step, and where the buffer has to grow."""
    task, model, _ = chat
    monkeypatch.setattr(shared_prefix, "_STEPS_PER_CLEARANCE", steps_per_clearance)
    monkeypatch.setattr(shared_prefix, "_STEPS_PER_BUFFER", steps_per_buffer)
    sample = tiny.batch(task, "dev", list(range(7)))
    cached = search(task, model, sample, lenpen=lenpen)
    assert_same(cached, search(task, uncached(model), sample, lenpen=lenpen))
    assert len({len(h["tokens"]) for hyps in cached for h in hyps}) > 3  # they do end early


def test_what_fairseq_makes_fast_finds_the_same(chat):
    """Fairseq-generate calls ``prepare_for_inference_``; the LLM's matrices are then packed."""
    task, model, _ = chat
    sample = tiny.batch(task, "dev", list(range(7)))
    fast = copy.deepcopy(model)
    fast.prepare_for_inference_(SimpleNamespace(generation=SimpleNamespace(beam=BEAMS)))
    assert isinstance(fast.decoder.llm.head, PackedLinear) == can_pack(model.decoder.llm.head)
    assert_same(search(task, fast, sample), search(task, model, sample))


@pytest.mark.parametrize(
    "options",
    [
        {"min_len": 4},
        {"no_repeat_ngram_size": 2},
        {"temperature": 0.7},
        {"unnormalized": True},
        {"diverse_beam_groups": 5, "diverse_beam_strength": 0.3},
        {"diversity_rate": 0.4},
        {"unkpen": 3.0},
    ],
    ids=str,
)
def test_search_options_of_fairseq_cached_equal_uncached(chat, options: dict[str, Any]):
    task, model, _ = chat
    sample = tiny.batch(task, "dev", [0, 3, 5])
    assert_same(
        search(task, model, sample, **options), search(task, uncached(model), sample, **options)
    )


def test_sampling_cached_equals_uncached(chat):
    task, model, _ = chat
    sample = tiny.batch(task, "dev", [0, 3, 5])
    options = {"sampling": True, "sampling_topp": 0.9}
    torch.manual_seed(0)
    cached = search(task, model, sample, **options)
    torch.manual_seed(0)
    assert_same(cached, search(task, uncached(model), sample, **options))


def test_prefix_tokens_are_forced(chat):
    task, model, _ = chat
    sample = tiny.batch(task, "dev", [0, 3, 5])
    prefix = sample["target"][:, :2]
    results = []
    for candidate in (model, uncached(model)):
        generator = task.build_generator([candidate], SimpleNamespace(beam=4, max_len_b=9))
        results.append(task.inference_step(generator, [candidate], sample, prefix_tokens=prefix))
    assert_same(*results)
    for hypotheses, forced in zip(results[0], prefix):
        assert hypotheses[0]["tokens"][:2].tolist() == forced.tolist()


def test_ensemble_of_a_model_with_itself_is_the_model(chat):
    task, model, _ = chat
    sample = tiny.batch(task, "dev", [1, 4])
    generator = task.build_generator([model, model], SimpleNamespace(beam=BEAMS, max_len_b=14))
    assert_same(task.inference_step(generator, [model, model], sample), search(task, model, sample))


@pytest.mark.parametrize("beam", [1, BEAMS])
def test_batch_equals_members_alone(chat, beam: int):
    task, model, _ = chat
    args = SimpleNamespace(beam=beam, max_len_b=14)
    generator = task.build_generator([model], args)
    together = task.inference_step(generator, [model], tiny.batch(task, "dev", list(range(7))))
    for row in range(7):
        alone = task.inference_step(generator, [model], tiny.batch(task, "dev", [row]))
        assert_same([together[row]], alone)


def test_equal_to_transformers_beam_search_up_to_its_rules(chat):
    """Both searches stop at the K-th finished hypothesis (``early_stopping=True``).

    They differ by definition in two cases. At the length limit fairseq forces EOS and counts
    it, transformers ends without: the limit here is out of reach. And where more hypotheses
    finish in the last step than there is room for, fairseq keeps those that finished first,
    transformers the best.
    """
    task, model, stock = chat
    identical = 0
    for row in range(7):
        sample = tiny.batch(task, "dev", [row])
        generator = task.build_generator([model], SimpleNamespace(beam=BEAMS, max_len_b=60))
        mine = as_scores(task.inference_step(generator, [model], sample)[0])
        others = transformers_search(model, stock, sample)
        last = max(len(tokens) for tokens in mine)
        for tokens in mine.keys() & others.keys():
            assert math.isclose(mine[tokens], others[tokens], abs_tol=2e-5)
        assert all(len(tokens) == last < 60 for tokens in others.keys() - mine.keys())
        assert all(mine[tokens] <= min(others.values()) for tokens in mine.keys() - others.keys())
        identical += mine.keys() == others.keys()
    assert identical >= 2


def as_scores(hypotheses) -> dict[tuple[int, ...], float]:
    return {tuple(h["tokens"].tolist()): h["score"].item() for h in hypotheses}


def transformers_search(model, stock, sample) -> dict[tuple[int, ...], float]:
    prompt = prompts_of(model.encoder.forward_torchscript(sample["net_input"])).embeddings
    last = model.decoder.llm.embed(sample["net_input"]["prev_output_tokens"][:, :1])
    output = stock.generate(
        inputs_embeds=torch.cat((prompt, last), dim=1),
        attention_mask=torch.ones(1, prompt.size(1) + 1),
        num_beams=BEAMS,
        num_return_sequences=BEAMS,
        max_new_tokens=60,
        min_new_tokens=1,
        early_stopping=True,
        length_penalty=1.0,
        do_sample=False,
        eos_token_id=2,
        pad_token_id=0,
        output_scores=True,
        return_dict_in_generate=True,
    )
    sequences = [tuple(ids[: ids.index(2) + 1]) for ids in output.sequences.tolist()]
    return dict(zip(sequences, output.sequences_scores.tolist()))


def test_every_id_of_the_llm_can_be_searched(chat):
    """A dictionary with pad among the LLM's ids would ban one, and clip the beam."""
    task, model, _ = chat
    vocabulary_size = model.decoder.llm.vocabulary_size
    generator = SequenceGenerator([model], task.target_dictionary, beam_size=10**6)
    assert generator.beam_size == vocabulary_size
    assert task.target_dictionary.pad() == vocabulary_size
    log_probs = model.get_normalized_probs((torch.zeros(1, 1, vocabulary_size), None), True)
    assert log_probs.shape == (1, 1, vocabulary_size + 1)
    assert math.isclose(log_probs[0, 0, 0].item(), -math.log(vocabulary_size), rel_tol=1e-5)
    assert log_probs[0, 0, -1].item() == -math.inf


def test_the_prompt_is_computed_once_per_utterance(chat, monkeypatch: pytest.MonkeyPatch):
    task, model, _ = chat
    llm = model.decoder.llm
    shapes = []
    prefill = type(llm).prefill
    monkeypatch.setattr(
        type(llm),
        "prefill",
        lambda self, x, cache: shapes.append(x.shape) or prefill(self, x, cache),
    )
    sample = tiny.batch(task, "dev", [0, 1, 2])
    search(task, model, sample)
    prompts = prompts_of(model.encoder.forward_torchscript(sample["net_input"]))
    # Utterances, not beams; once; and with the token that the first step reads
    assert shapes == [(3, prompts.embeddings.size(1) + 1, llm.width)]


@pytest.mark.parametrize("options", [{"max_len_a": 1.5}, {"match_source_len": True}], ids=str)
def test_lengths_by_the_source_are_refused(chat, options: dict[str, Any]):
    task, model, _ = chat
    with pytest.raises(ValueError, match="--max-len-a and --match-source-len must not be given"):
        search(task, model, {}, **options)


def test_alignments_are_refused(chat):
    task, model, _ = chat
    with pytest.raises(ValueError, match="--print-alignment must not be given"):
        search(task, model, {}, print_alignment="hard")


@pytest.mark.parametrize("prompt", ["audio", "text"])
def test_a_search_beyond_the_context_is_refused(chat, prompt: str):
    task, model, _ = chat
    task.cfg.prompt = prompt
    task.load_dataset("dev")
    sample = tiny.batch(task, "dev", [0, 3])
    task.cfg.prompt = "audio"
    task.load_dataset("dev")
    lengths = prompts_of(model.encoder.forward_torchscript(sample["net_input"])).lengths
    room = 256 - lengths.max().item() - 1
    longest = sample["utterance_ids"][lengths.argmax()]
    generator = task.build_generator([model], SimpleNamespace(beam=1, max_len_b=room + 1))
    with pytest.raises(ValueError, match=rf"prompt of utterance '{longest}'.*; {room} would fit"):
        task.inference_step(generator, [model], sample)
    generator.max_len_b = room
    assert task.inference_step(generator, [model], sample)


def test_reference_scores_of_fairseq_are_the_losses(chat):
    task, model, _ = chat
    sample = tiny.batch(task, "dev", [0, 3, 4])
    scorer = task.build_generator([model], SimpleNamespace(score_reference=True))
    hypotheses = task.inference_step(scorer, [model], sample)
    total = -sum(float(h[0]["positional_scores"].sum()) for h in hypotheses)
    criterion = ResponseDistillationCriterion(task)
    assert math.isclose(total, criterion(model, sample)[0].item(), rel_tol=1e-5)
