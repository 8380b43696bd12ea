"""What a plan predicts, against the tensors of real updates and against figures worked out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from counting import Counting
from fairseq.optim import build_optimizer
from omegaconf import DictConfig

from fairseq_audiochat.plan import configuration, memory
from fairseq_audiochat.plan.assumptions import Assumptions
from fairseq_audiochat.plan.live_bytes import LiveBytes
from fairseq_audiochat.plan.planned_tasks import planned_task
from fairseq_audiochat.plan.sizes_only import causal_bias_below_modes
from fairseq_audiochat.tasks.audio_chat import AudioChatTask
from fairseq_audiochat.tasks.audio_ctc import AudioCtcTask

ENCODER = (
    "--encoder-layers 1 --encoder-width 64 --encoder-ffn-width 128 --encoder-heads 4 "
    "--subsampling-channels 8"
).split()
COMMON = "--optimizer adam --lr 1e-3 --lr-scheduler fixed --batch-size 4 --cpu".split()
CTC = "--task audio_ctc --arch conformer_ctc --criterion audio_ctc".split()
CHAT = "--task audio_chat --arch audio_prefix_llm --criterion response_distillation".split()
TASKS = {"audio_ctc": AudioCtcTask, "audio_chat": AudioChatTask}
BATCH = [0, 3, 5, 8]


def config(data: Path, llm: Path, task: str, *options: object) -> DictConfig:
    kind = CTC if task == "audio_ctc" else [*CHAT, "--llm", llm]
    flags = [data, *kind, *ENCODER, *COMMON, *options]
    return configuration.from_flags([str(flag) for flag in flags])


def planned(cfg: DictConfig, device: str = "cpu") -> memory.Memory:
    """The plan for a batch of the training set."""
    task = planned_task(cfg)
    memory.build(task, cfg)
    task.load_dataset("train", data_selector=None)
    sample = task.batch(task.dataset("train"), BATCH, Assumptions())
    return memory.of_update(task, cfg, sample, torch.device(device))


def real_peak(cfg: DictConfig) -> int:
    """Bytes of the tensors of two real batches, an optimiser's step between them."""
    task: Any = TASKS[cfg.task._name](cfg.task)
    model = task.build_model(cfg.model)
    task.load_dataset("train", data_selector=None)
    dataset = task.dataset("train")
    sample = dataset.collater([dataset[index] for index in BATCH])
    optimizer = build_optimizer(cfg.optimizer, [p for p in model.parameters() if p.requires_grad])
    criterion = task.build_criterion(cfg.criterion)
    live = LiveBytes()
    for tensor in (*model.parameters(), *model.buffers(), *sample["net_input"].values()):
        live.add(tensor)
    with causal_bias_below_modes(), Counting(live):
        task.train_step(sample, model, criterion, optimizer, update_num=0)
        optimizer.step()
        if cfg.optimization.update_freq == [1]:
            optimizer.zero_grad()
        task.train_step(sample, model, criterion, optimizer, update_num=0)
    return live.peak


@pytest.mark.parametrize("options", [[], ["--checkpoint-activations"], ["--update-freq", 2]])
@pytest.mark.parametrize("task", ["audio_ctc", "audio_chat"])
def test_the_peak_is_that_of_a_real_update(
    data_folder: Path, llm_path: Path, task: str, options: list[object]
):
    cfg = config(data_folder, llm_path, task, *options)
    plan = planned(cfg)
    # Integers and what dropout draws from are not planned: some KB.
    assert plan.peak == pytest.approx(real_peak(cfg), rel=0.02)
    assert plan.activations > sum(plan.kept.values()) * 0.5
    assert plan.buckets == 0


def test_figures_worked_out_by_hand(data_folder: Path, llm_path: Path):
    cfg = config(data_folder, llm_path, "audio_chat", "--llm-dtype", "bfloat16")
    plan = planned(cfg)
    # E 64 and D 32, one frame per embedding: weights and biases
    assert plan.trained["adapter"] == 64 * 32 + 32
    # V 340, D 32, FFN 64, 2 of 4 heads for keys; tied to nothing
    layer = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 64 + 2 * 32
    assert plan.frozen == {"LLM": 2 * 340 * 32 + 2 * layer + 32}
    assert plan.weights["LLM"] == 2 * plan.frozen["LLM"]  # bfloat16
    trained = sum(plan.trained.values())
    assert plan.weights["encoder"] + plan.weights["adapter"] == 4 * trained
    assert plan.gradients == 4 * trained
    assert plan.optimizer == 8 * trained  # Adam's two moments
    fingerprint = 3 * 32 * 8  # three digests, a byte in each int64
    assert plan.checkpoint == 12 * trained + fingerprint
    # Keys and values of 2 layers, 2 heads of 8, for the template's beginning
    prefix = plan.kept["LLM, the fixed prefix"]
    assert prefix % (2 * 2 * 2 * 8 * 2) == 0
    assert prefix > 0


def test_processes_send_gradients_in_buckets(data_folder: Path, llm_path: Path):
    cfg = config(data_folder, llm_path, "audio_ctc")
    cfg.distributed_training.distributed_world_size = 2
    plan = planned(cfg)
    assert plan.buckets == plan.gradients == 4 * sum(plan.trained.values())
    assert plan.total == plan.peak + plan.buckets


def test_a_gpu_keeps_about_what_a_cpu_keeps(data_folder: Path, llm_path: Path):
    """Its attention takes larger blocks, and makes no mask."""
    cfg = config(data_folder, llm_path, "audio_chat")
    cpu, gpu = planned(cfg), planned(cfg, "cuda")
    assert gpu.weights == cpu.weights
    assert gpu.kept["encoder"] == pytest.approx(cpu.kept["encoder"], rel=0.1)
    assert gpu.kept["LLM"] <= cpu.kept["LLM"]


def test_llama_2_7b_costs_nothing(data_folder: Path, tmp_path: Path, llm_path: Path):
    """6,738,415,616 parameters, as Meta counts them."""
    from transformers import LlamaConfig

    LlamaConfig(max_position_embeddings=4096).save_pretrained(tmp_path)  # 7B is the default
    (tmp_path / "tokenizer.model").write_bytes((llm_path / "tokenizer.model").read_bytes())
    cfg = config(data_folder, tmp_path, "audio_chat", "--llm-dtype", "bfloat16")
    model = memory.build(planned_task(cfg), cfg)
    assert sum(p.numel() for p in model.decoder.llm.parameters()) == 6_738_415_616
    assert all(parameter.is_meta for parameter in model.parameters())
