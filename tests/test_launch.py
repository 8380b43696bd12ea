"""Several processes on CPUs, started in each way that the README names."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from command_line import CHAT, OPTIMIZATION, TINY_ENCODER, USER_DIR, logged, run, training_config
from fairseq.distributed import utils as distributed_utils

from fairseq_audiochat import launch

UPDATES = 6
TORCHRUN = "--standalone --nproc-per-node 2".split()
HYDRA_CALLBACK = "+hydra.callbacks.cpu._target_=fairseq_audiochat.launch.HydraCallback"


def flags(data: Path, llm: Path, save_dir: Path, *further: object) -> list[object]:
    """A training of fairseq-train without anything that depends on a rank."""
    return [
        *(data, "--user-dir", USER_DIR, *CHAT, "--llm", llm, *TINY_ENCODER, *OPTIMIZATION),
        *("--valid-subset", "dev", "--encoder-dropout", 0, "--max-update", UPDATES),
        *("--no-epoch-checkpoints", "--save-dir", save_dir, *further),
    ]


def hydra(data: Path, llm: Path, save_dir: Path, *further: str) -> list[object]:
    """The same training of fairseq-hydra-train."""
    size = {"encoder_layers": 2, "encoder_width": 32, "encoder_ffn_width": 64, "encoder_heads": 4}
    size |= {"subsampling_channels": 8, "encoder_dropout": 0.0}
    config = {
        "common": {"user_dir": str(USER_DIR), "cpu": True, "log_format": "simple"},
        "task": {"_name": "audio_chat", "data": str(data), "llm": str(llm)},
        "model": {"_name": "audio_prefix_llm", **size},
        "criterion": {"_name": "response_distillation"},
        "dataset": {"max_tokens": 1000, "valid_subset": "dev"},
        "optimization": {"max_update": UPDATES, "lr": [0.001], "clip_norm": 1.0},
        "optimizer": {"_name": "adam"},
        "lr_scheduler": {"_name": "fixed"},
        "checkpoint": {"save_dir": str(save_dir), "no_epoch_checkpoints": True},
    }
    (save_dir.parent / "tiny.yaml").write_text("# @package _global_\n" + yaml.safe_dump(config))
    where = ["--config-dir", save_dir.parent, "--config-name", "tiny"]
    return [*where, HYDRA_CALLBACK, *further]


def command(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def by_fairseq(*training: object) -> str:
    return run("fairseq-train", *flags(*training, "--distributed-world-size", 2))


def by_torchrun(*training: object) -> str:
    """The LLM is larger than a process, so to say: it is spread over both."""
    shards = ["--llm-shards", 2]
    return run("torchrun", *TORCHRUN, command("fairseq-train"), *flags(*training, *shards))


def by_hydra(data: Path, llm: Path, save: Path) -> str:
    processes = "distributed_training.distributed_world_size=2"
    return run("fairseq-hydra-train", *hydra(data, llm, save, processes), cwd=save.parent)


def by_torchrun_and_hydra(data: Path, llm: Path, save: Path) -> str:
    training = hydra(data, llm, save)
    return run("torchrun", *TORCHRUN, command("fairseq-hydra-train"), *training, cwd=save.parent)


def parameters(save_dir: Path) -> dict[str, torch.Tensor]:
    return torch.load(save_dir / "checkpoint_last.pt", weights_only=True)["model"]


@pytest.fixture(scope="module")
def one_process(data_folder: Path, llm_path: Path, tmp_path_factory: pytest.TempPathFactory):
    """What one process with twice the batches ends with: parameters and validation loss."""
    save_dir = tmp_path_factory.mktemp("one") / "checkpoints"
    output = run("fairseq-train", *flags(data_folder, llm_path, save_dir, "--update-freq", 2))
    return parameters(save_dir), logged(output, "loss")


# Each starts three processes of some 5 s; the other two are made of the same parts.
by_default = [by_torchrun, by_hydra]
on_demand = pytest.mark.skipif(
    "AUDIOCHAT_ALL_TESTS" not in os.environ, reason="AUDIOCHAT_ALL_TESTS is not set"
)


@pytest.mark.parametrize(
    "way",
    [
        *by_default,
        *(pytest.param(way, marks=on_demand) for way in (by_fairseq, by_torchrun_and_hydra)),
    ],
)
def test_two_processes_equal_one_with_twice_the_batches(
    one_process, data_folder: Path, llm_path: Path, tmp_path: Path, way: Callable[..., str]
):
    output = way(data_folder, llm_path, tmp_path / "checkpoints")
    expected, loss = one_process
    for name, tensor in parameters(tmp_path / "checkpoints").items():
        # fp32 sums in another order, through Adam's division by small second moments
        torch.testing.assert_close(tensor, expected[name], atol=2e-5, rtol=1e-4)
    if "hydra" not in way.__name__:  # which logs into a file
        # 7 utterances in batches that two processes cannot share evenly: none counts twice.
        assert abs(logged(output, "loss") - loss) < 2e-4
        assert "distributed_backend is gloo, because nccl needs GPUs" in output


def unreached(cfg: object) -> None:
    raise AssertionError("it should have been refused")


def test_it_stands_in_fairseqs_place():
    assert distributed_utils.call_main is launch.call_main


def test_fairseqs_own_bf16_is_refused_with_the_way_out(
    data_folder: Path, llm_path: Path, tmp_path: Path
):
    cfg = training_config(*flags(data_folder, llm_path, tmp_path, "--bf16"))
    with pytest.raises(ValueError, match="--bf16 must not be given, because fairseq then asks for"):
        launch.call_main(cfg, unreached)


def test_an_address_without_ranks_is_refused(data_folder: Path, llm_path: Path, tmp_path: Path):
    address = ["--distributed-world-size", 2, "--distributed-init-method", "tcp://localhost:1"]
    cfg = training_config(*flags(data_folder, llm_path, tmp_path, *address))
    with pytest.raises(ValueError, match="--distributed-init-method must come with --distributed-"):
        launch.call_main(cfg, unreached)


def test_on_gpus_fairseqs_launcher_does_it_all(
    data_folder: Path, llm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """But for the number of processes, which it does not ask torchrun for when it sees one GPU."""
    called = []
    monkeypatch.setattr(launch, "_fairseq_call_main", lambda cfg, main: called.append(cfg))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name, value in {"MASTER_ADDR": "a", "MASTER_PORT": 1, "WORLD_SIZE": 4, "RANK": 0}.items():
        monkeypatch.setenv(name, str(value))
    without_cpu = [flag for flag in flags(data_folder, llm_path, tmp_path) if flag != "--cpu"]
    launch.call_main(training_config(*without_cpu), unreached)
    training = called[0].distributed_training
    assert training.distributed_world_size == 4
    assert (training.distributed_backend, training.ddp_backend) == ("nccl", "pytorch_ddp")
    assert training.distributed_init_method is None


def gather_objects(cfg: object, results: "multiprocessing.SimpleQueue[object]") -> None:
    """What fairseq-validate does with the counts of all ranks."""
    results.put(distributed_utils.all_gather_list([distributed_utils.get_global_rank()]))


def test_ranks_gather_objects_without_a_gpu(data_folder: Path, llm_path: Path, tmp_path: Path):
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    address = ["--distributed-init-method", f"file://{tmp_path}/address", "--distributed-no-spawn"]
    processes = []
    for rank in range(2):
        world = [*address, "--distributed-world-size", 2, "--distributed-rank", rank]
        cfg = training_config(*flags(data_folder, llm_path, tmp_path, *world))
        arguments = {"cfg": cfg, "main": gather_objects, "results": results}
        processes.append(fork.Process(target=launch.call_main, kwargs=arguments))
        processes[-1].start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert [results.get(), results.get()] == [[[0], [1]]] * 2
