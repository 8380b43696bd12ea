"""Perplexity does not depend on how the data is batched; wrong set-ups are refused."""

import json
import logging
import math
import pickle
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch
from fairseq.logging import metrics
from fairseq.optim import build_optimizer
from omegaconf import OmegaConf

from fairseq_audiochat.criterions.response_distillation import ResponseDistillationCriterion
from fairseq_audiochat.tasks._audio_chat_config import AudioChatConfig
from fairseq_audiochat.tasks._cascade import Cascade
from fairseq_audiochat.tasks.audio_chat import AudioChatTask


def validate(task, model, shuffle: bool = False, **batching: object) -> dict[str, float]:
    """What fairseq-validate does with its batches."""
    criterion = ResponseDistillationCriterion(task).eval()
    batches = task.get_batch_iterator(
        task.dataset("dev"), max_positions=task.max_positions(), **batching
    )
    outputs = [
        task.valid_step(sample, model, criterion)[2]
        for sample in batches.next_epoch_itr(shuffle=shuffle)
    ]
    with metrics.aggregate(new_root=True) as aggregate:
        task.reduce_metrics(outputs, criterion)
    return {key: float(meter.avg) for key, meter in aggregate.items() if hasattr(meter, "avg")}


@pytest.mark.parametrize("prompt", ["audio", "text"])
def test_perplexity_is_that_of_all_tokens_for_any_batching(data_folder, llm_path, prompt: str):
    task, model = tiny.make_chat(data_folder, llm_path)
    task.cfg.prompt = prompt
    task.load_dataset("dev")
    # The definition: exp(total nats / total tokens), each utterance alone.
    nats, tokens = 0.0, 0
    for index in range(7):
        sample = tiny.batch(task, "dev", [index])
        logits, _ = model(**sample["net_input"])
        log_probs = torch.log_softmax(logits[0].double(), dim=-1)
        nats -= log_probs.gather(1, sample["target"][0].unsqueeze(1)).sum().item()
        tokens += sample["target"].numel()
    for batching in (
        {"max_sentences": 1},
        {"max_sentences": 3},
        {"max_sentences": 7},
        {"max_tokens": 700, "required_batch_size_multiple": 8},
        {"max_sentences": 2, "num_workers": 1},
        {"max_sentences": 2, "shuffle": True, "seed": 5, "disable_iterator_cache": True},
    ):
        result = validate(task, model, **batching)
        assert math.isclose(result["loss"], nats / tokens, rel_tol=1e-4), batching


def test_two_shards_add_up_to_the_whole(data_folder, llm_path):
    task, model = tiny.make_chat(data_folder, llm_path)
    task.load_dataset("dev")
    criterion = ResponseDistillationCriterion(task).eval()
    outputs = []
    for shard in range(2):
        batches = task.get_batch_iterator(
            task.dataset("dev"),
            max_sentences=3,
            num_shards=2,
            shard_id=shard,
            disable_iterator_cache=True,
        )
        # fairseq fills the shorter shard up with empty batches
        samples = list(batches.next_epoch_itr(shuffle=False))
        outputs += [task.valid_step(sample, model, criterion)[2] for sample in samples]
    assert outputs.count({}) == 1  # three batches of 3, 3 and 1 for two shards
    assert sum(output.get("nsentences", 0) for output in outputs) == 7
    whole = tiny.batch(task, "dev", list(range(7)))
    _, tokens, counts = task.valid_step(whole, model, criterion)
    total = sum(output.get("loss", 0.0) for output in outputs)
    assert math.isclose(total, float(counts["loss"]), rel_tol=1e-5)
    assert sum(output.get("ntokens", 0) for output in outputs) == tokens
    # fairseq-validate gathers these dictionaries from all processes: 16 kB for all of a rank's
    assert len(pickle.dumps(counts)) < 150


def test_a_response_cut_by_length_is_not_trained_with_eos(data_folder, llm_path):
    task, _ = tiny.make_chat(data_folder, llm_path)
    sample = tiny.batch(task, "dev", list(range(7)))
    for index, target in enumerate(sample["target"]):
        response = task.dataset("dev").responses[index]
        expected = response.response + ([2] if response.ended == "eos" else [])
        assert target[target != task.target_dictionary.pad()].tolist() == expected
    assert {task.dataset("dev").responses[i].ended for i in range(7)} == {"eos", "length"}


def test_training_on_text_prompts_is_refused(data_folder, llm_path):
    task, _ = tiny.make_chat(data_folder, llm_path)
    task.cfg.prompt = "text"
    with pytest.raises(ValueError, match="--prompt must be 'audio' in training, but is 'text'"):
        task.train_step({}, None, None, None, 0)


def test_missing_responses_are_named(data_folder, llm_path, tmp_path: Path):
    shutil.copytree(data_folder, tmp_path / "data")
    (tmp_path / "data/dev.responses.jsonl").unlink()
    task, _ = tiny.make_chat(tmp_path / "data", llm_path)
    with pytest.raises(FileNotFoundError, match=r"make them with data_prep/generate_responses\.py"):
        task.load_dataset("dev")


def test_batches_are_bounded_by_the_option(data_folder, llm_path):
    task, _ = tiny.make_chat(data_folder, llm_path)
    task.cfg.max_llm_positions = 200
    task.load_dataset("dev")
    assert task.dataset("dev").max_llm_positions == 200


def test_a_cascade_needs_its_checkpoint(data_folder, llm_path):
    config = AudioChatConfig(data=str(data_folder), llm=str(llm_path), prompt="cascade")
    with pytest.raises(ValueError, match="--asr-checkpoint must be given with --prompt cascade"):
        AudioChatTask(config)
    config.asr_checkpoint = "no.pt"
    with pytest.raises(
        FileNotFoundError, match=r"no\.pt: --asr-checkpoint must exist, but does not"
    ):
        AudioChatTask(config)  # before anything is read


def test_responses_of_another_llm_are_refused(data_folder, llm_path, tmp_path: Path):
    shutil.copytree(data_folder, tmp_path / "data")
    path = tmp_path / "data/dev.responses.jsonl"
    lines = path.read_text().splitlines()
    header = json.loads(lines[0])
    header["llm"]["embedding"] = "0" * 64
    path.write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    task, _ = tiny.make_chat(tmp_path / "data", llm_path)
    with pytest.raises(ValueError, match=r"must be those of the LLM in --llm, but differ: embedd"):
        task.load_dataset("dev")


def test_validation_says_at_once_what_it_will_refuse(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    llm = tiny.make_llm(tmp_path / "llm", max_position_embeddings=40)
    task, _ = tiny.make_chat(tiny.make_data(tmp_path / "data", llm, dev=7), llm)
    with caplog.at_level(logging.WARNING):
        task.load_dataset("dev")
    assert re.search(r"split dev: \d utterances need more than the 40 positions", caplog.text)


def test_a_recognised_prompt_beyond_the_context_is_named(data_folder, llm_path):
    task, _ = tiny.make_chat(data_folder, llm_path)
    sample = tiny.batch(task, "dev", [1, 2])
    task.cfg.prompt, task._cascade = "cascade", Cascade.__new__(Cascade)
    task._cascade.template, task._cascade.pad = task.template, task.target_dictionary.pad()
    task._cascade.transcribe = lambda *_: ["what", "what " * 300]
    with pytest.raises(ValueError, match=r"utterance 'dev-2': what --asr-checkpoint recognises"):
        task.valid_step(sample, None, None)


def test_the_llm_is_bit_identical_after_training(data_folder, llm_path):
    task, model = tiny.make_chat(data_folder, llm_path)
    criterion = ResponseDistillationCriterion(task)
    stock = model.decoder.llm.causal_lm
    llm = {name: tensor.clone() for name, tensor in stock.state_dict().items()}
    trained = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.1)
    stub = SimpleNamespace(backward=lambda loss: loss.backward())
    for update in range(3):
        optimizer.zero_grad()
        task.train_step(tiny.batch(task, "dev", [0, 1]), model, criterion, stub, update)
        optimizer.step()
    for name, tensor in stock.state_dict().items():
        assert torch.equal(tensor, llm[name]), name
    assert all(not torch.equal(p, trained[n]) for n, p in model.named_parameters() if n in trained)


def test_a_response_beyond_the_context_is_counted(data_folder, tmp_path: Path):
    llm = tiny.make_llm(tmp_path / "llm", max_position_embeddings=40)
    tiny.make_data(tmp_path / "data", llm, dev=7)
    task, _ = tiny.make_chat(tmp_path / "data", llm)
    task.load_dataset("dev")
    with pytest.raises(ValueError, match=r"\d of 7 utterances need more than the 40 positions"):
        task.get_batch_iterator(
            task.dataset("dev"), max_sentences=2, max_positions=task.max_positions()
        )


def test_the_llm_may_be_held_in_8_bits(data_folder, llm_path):
    """A training that began so gives a checkpoint for any way to hold the LLM, and back."""
    task, model = tiny.make_chat(data_folder, llm_path)
    task.cfg.llm_quantisation, task._llm = "int8", None
    quantised = tiny.make_model(task)
    quantised.load_state_dict(model.state_dict(), strict=True)
    sample = tiny.batch(task, "dev", [0, 1])
    exact, _ = model(**sample["net_input"])
    near, _ = quantised(**sample["net_input"])
    assert 0 < (near - exact).std() < 0.1 * exact.std()
    near.logsumexp(-1).sum().backward()
    assert all(p.grad is not None for p in quantised.parameters() if p.requires_grad)


def test_quantised_weights_are_not_shared_out(data_folder, llm_path):
    config = AudioChatConfig(data=str(data_folder), llm=str(llm_path))
    config.llm_shards, config.llm_quantisation = 2, "int8"
    with pytest.raises(ValueError, match="must be 'none' with --llm-shards, but is 'int8'; quant"):
        AudioChatTask(config)


def test_training_holds_nothing_for_the_llm_but_its_weights(data_folder, llm_path):
    """Bytes of gradients and of Adam's state are those of what is trained."""
    task, model = tiny.make_chat(data_folder, llm_path)
    criterion = ResponseDistillationCriterion(task)
    cfg = OmegaConf.create(
        {
            "_name": "adam",
            "lr": [0.1],
            "adam_betas": "(0.9, 0.98)",
            "adam_eps": 1e-8,
            "weight_decay": 0.0,
            "use_old_adam": True,
            "fp16_adam_stats": False,
            "tpu": False,
        }
    )
    # As fairseq's trainer chooses: all that need gradients.
    optimizer = build_optimizer(cfg, [p for p in model.parameters() if p.requires_grad])
    task.train_step(tiny.batch(task, "dev", [0, 1]), model, criterion, optimizer, 0)
    optimizer.step()
    llm = list(model.decoder.llm.parameters())
    assert all(parameter.grad is None for parameter in llm)
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    assert trained == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    state = optimizer.optimizer.state
    held = [x.nbytes for entry in state.values() for x in entry.values() if torch.is_tensor(x)]
    assert sum(held) == 2 * trained
    assert not any(parameter in state for parameter in llm)
