"""``--llm-shards``: an LLM in parts computes what the whole one computes."""

import logging
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from forked import in_processes
from torch.nn.parallel import DistributedDataParallel

from fairseq_audiochat.criterions.response_distillation import ResponseDistillationCriterion

SHARES = ([0, 1, 2, 3], [4, 5, 6], [0], [5, 2])  # of the split dev, by rank


def loss_and_gradients(task, model, rows: list[int]):
    """The loss of a batch, and its gradients by name."""
    loss, _, _ = ResponseDistillationCriterion(task)(model, tiny.batch(task, "dev", rows))
    loss.backward()
    trained = ((name, p.grad) for name, p in model.named_parameters() if p.requires_grad)
    return loss.item(), {name.removeprefix("module."): grad.numpy() for name, grad in trained}


def kept_numbers(model) -> int:
    """Numbers of the LLM's layers that this process keeps."""
    parameters = model.decoder.llm.causal_lm.base_model.layers.parameters()
    return sum(p.to_local().numel() if hasattr(p, "to_local") else p.numel() for p in parameters)


@pytest.mark.parametrize(("processes", "again"), [(2, False), (2, True), (4, False)])
def test_gradients_are_those_of_the_whole_llm(
    data_folder: Path, llm_path: Path, tmp_path: Path, processes: int, again: bool
):
    """Of 4 processes, each two share a copy."""
    size = {"checkpoint_activations": again}

    def part(rank: int):
        task, model = tiny.make_chat(data_folder, llm_path, llm_shards=2, **size)
        return *loss_and_gradients(task, model, SHARES[rank]), kept_numbers(model)

    for rank, (loss, gradients, kept) in enumerate(in_processes(processes, part, tmp_path)):
        task, model = tiny.make_chat(data_folder, llm_path, **size)
        expected_loss, expected = loss_and_gradients(task, model, SHARES[rank])
        assert kept == kept_numbers(model) // 2
        assert loss == pytest.approx(expected_loss, rel=1e-6)
        for name, gradient in expected.items():
            # fp32; nothing is summed in another order
            np.testing.assert_allclose(
                gradients[name], gradient, rtol=1e-5, atol=1e-6, err_msg=name
            )


def test_torchs_data_parallel_leaves_the_llm_alone(
    data_folder: Path, llm_path: Path, tmp_path: Path
):
    """It is fairseq's default on GPUs; it would broadcast all weights when it begins."""

    def part(rank: int):
        task, model = tiny.make_chat(data_folder, llm_path, llm_shards=2)
        parallel = DistributedDataParallel(model)
        parallel.decoder = model.decoder  # as fairseq's proxy does
        return loss_and_gradients(task, parallel, SHARES[rank])[1]

    averages = in_processes(2, part, tmp_path)
    alone = [
        loss_and_gradients(*tiny.make_chat(data_folder, llm_path), rows)[1] for rows in SHARES[:2]
    ]
    for name, gradient in averages[0].items():
        assert np.array_equal(gradient, averages[1][name])
        expected = (alone[0][name] + alone[1][name]) / 2
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_checkpoint_is_that_of_the_whole_llm(data_folder: Path, llm_path: Path, tmp_path: Path):
    _, whole = tiny.make_chat(data_folder, llm_path)
    expected = whole.state_dict()

    def part(rank: int) -> bool:
        _, model = tiny.make_chat(data_folder, llm_path, llm_shards=2)
        model.load_state_dict(expected)
        state = model.state_dict()
        return state.keys() == expected.keys() and all(
            torch.equal(state[name], expected[name]) for name in expected
        )

    assert in_processes(2, part, tmp_path) == [True, True]


def test_validation_with_unequal_shares(data_folder: Path, llm_path: Path, tmp_path: Path):
    """The second process has one batch, and takes part in what the first does with two more."""
    batches = [[[0, 1], [2, 3], [4]], [[5, 6], [], []]]

    def part(rank: int):
        task, model = tiny.make_chat(data_folder, llm_path, llm_shards=2)
        criterion = ResponseDistillationCriterion(task)
        with torch.no_grad():
            scored = [
                task.valid_step(tiny.batch(task, "dev", rows) if rows else {}, model, criterion)
                for rows in batches[rank]
            ]
        return [(sample_size, counts) for _, sample_size, counts in scored]

    first, second = in_processes(2, part, tmp_path)
    assert second[1:] == [(0, {}), (0, {})]
    task, model = tiny.make_chat(data_folder, llm_path)
    with torch.no_grad():
        whole = task.valid_step(
            tiny.batch(task, "dev", list(range(7))), model, ResponseDistillationCriterion(task)
        )
    counts = [counts for _, counts in first + second[:1]]
    assert sum(c["ntokens"] for c in counts) == whole[2]["ntokens"]
    assert sum(c["loss"] for c in counts) == pytest.approx(whole[2]["loss"], rel=1e-5)


def test_what_cannot_be_shared_is_refused(data_folder: Path, llm_path: Path, tmp_path: Path):
    def part(rank: int) -> list[str]:
        messages = []
        with pytest.raises(ValueError, match="--llm-shards") as error:
            tiny.make_chat(data_folder, llm_path, llm_shards=3)
        messages.append(str(error.value))
        task, model = tiny.make_chat(data_folder, llm_path, llm_shards=2)
        with pytest.raises(ValueError, match="--llm-shards") as error:
            task.valid_step({}, model, ResponseDistillationCriterion(task))
        messages.append(str(error.value))
        with pytest.raises(ValueError, match="--llm-shards") as error:
            task.inference_step(None, [model], tiny.batch(task, "dev", [0]))
        return [*messages, str(error.value)]

    for messages in in_processes(2, part, tmp_path):
        number, batches, search = messages
        assert "must divide the number of processes, but is 3 with 2; choose" in number
        assert "at least as many batches as processes, but there are fewer; give" in batches
        assert "must be 1 in generation, but is 2; give fairseq-generate a device" in search


def test_one_process_holds_the_whole(
    data_folder: Path, llm_path: Path, caplog: pytest.LogCaptureFixture
):
    """As fairseq-validate does with a checkpoint that many processes trained."""
    with caplog.at_level(logging.WARNING):
        _, model = tiny.make_chat(data_folder, llm_path, llm_shards=8)
    assert "--llm-shards: there is one process, which holds the whole LLM" in caplog.text
    assert kept_numbers(model) == kept_numbers(tiny.make_chat(data_folder, llm_path)[1])
