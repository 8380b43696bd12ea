"""The recipe at the paper's size: its arithmetic, and all its stages on a corpus of seconds."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny
from omegaconf import DictConfig, OmegaConf
from preloaded import preloaded_commands

from fairseq_audiochat.data.fbank import FRAMES_PER_SECOND
from fairseq_audiochat.plan.configuration import from_hydra

RECIPE = Path(__file__).parents[2] / "examples/mls_llama2"
CONFIGS = RECIPE / "config"
README = (RECIPE / "README.md").read_text(encoding="utf-8")
GPUS = ["", "+gpus={}_8x80gb", "+gpus={}_1x24gb"]
ENCODER = "++model.encoder_layers=1 +model.encoder_width=16 +model.encoder_ffn_width=32 "
ENCODER += "+model.encoder_heads=2 +model.subsampling_channels=2 "
FEW_UPDATES = "common.cpu=true dataset.num_workers=0 optimization.max_update=2 "
FEW_UPDATES += "optimization.update_freq=[2] distributed_training.distributed_world_size=1 "


def composed(name: str, gpus: str) -> DictConfig:
    """A config as fairseq-hydra-train has it."""
    overrides = [gpus.format(name.split("_")[0])] if gpus else []
    return from_hydra(CONFIGS, name, overrides)


def per_update(cfg: DictConfig) -> int:
    """Batches of an update."""
    return cfg.distributed_training.distributed_world_size * cfg.optimization.update_freq[0]


def stated(row: str) -> list[str]:
    """The cells of a row of the README's table of batches."""
    line = next(line for line in README.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


@pytest.mark.parametrize("gpus", GPUS)
@pytest.mark.parametrize("name", ["ctc_18l", "ctc_36l"])
def test_pre_training_has_32_000_seconds_of_audio_per_update(name: str, gpus: str):
    """Section 3.1: 16 GPUs x 4 accumulations x 500 s."""
    cfg = composed(name, gpus)
    seconds = cfg.dataset.max_tokens // FRAMES_PER_SECOND
    assert seconds * per_update(cfg) == 16 * 4 * 500 == 32_000
    row = f"`{gpus.format('ctc')}`" if gpus else "`ctc_18l`, `ctc_36l`"
    assert stated(row) == [
        str(cfg.distributed_training.distributed_world_size),
        str(cfg.optimization.update_freq[0]),
        f"{seconds} s",
        "32,000 s of audio",
    ]


@pytest.mark.parametrize("gpus", GPUS)
def test_distillation_has_1_024_utterances_per_update(gpus: str):
    """Section 3.2: 64 GPUs x 8 accumulations x 2."""
    cfg = composed("chat", gpus)
    assert cfg.dataset.batch_size * per_update(cfg) == 64 * 8 * 2 == 1_024
    assert stated(f"`{gpus.format('chat') or 'chat'}`") == [
        str(cfg.distributed_training.distributed_world_size),
        str(cfg.optimization.update_freq[0]),
        f"{cfg.dataset.batch_size} utterances",
        "1,024 utterances",
    ]


def test_the_papers_settings():
    """As the paper has them; what the files leave to a default is checked with the rest."""
    ctc, chat = composed("ctc_18l", ""), composed("chat", "")
    size = ctc.model
    layers = (size.encoder_layers, composed("ctc_36l", "").model.encoder_layers)
    assert layers == (18, 36)
    width = (size.encoder_width, size.encoder_ffn_width)
    assert (*width, size.encoder_kernel_size, size.encoder_heads) == (512, 2048, 11, 8)
    for cfg in (ctc, chat):
        assert (cfg.optimizer._name, cfg.optimizer.adam_betas) == ("adam", "(0.9, 0.98)")
        assert cfg.lr_scheduler._name == "tri_stage"  # exponential decay
        assert cfg.lr_scheduler.hold_steps == 0
        steps = cfg.lr_scheduler.warmup_steps + cfg.lr_scheduler.decay_steps
        assert steps == cfg.optimization.max_update
    assert (ctc.optimization.lr, ctc.lr_scheduler.warmup_steps) == ([1e-3], 20_000)
    assert (chat.optimization.lr, chat.lr_scheduler.warmup_steps) == ([5e-4], 5_000)
    assert chat.optimization.max_update == 250_000
    assert chat.optimization.lr[0] * chat.lr_scheduler.final_lr_scale == pytest.approx(5e-6)


def test_the_two_encoders_differ_in_layers_only():
    """Copies, because fairseq puts its defaults over what a list of defaults names."""
    smaller, larger = (OmegaConf.load(CONFIGS / f"ctc_{n}l.yaml") for n in (18, 36))
    assert larger.model.pop("encoder_layers") == 36
    assert larger == smaller


def test_every_setting_names_its_section_or_says_that_it_is_ours():
    settings = re.compile(
        r"^  (?!_name: |user_dir|data: |log_|num_workers|valid_|batch_size_valid)"
    )
    for name in ("ctc_18l", "chat"):
        groups = (CONFIGS / f"{name}.yaml").read_text().split("\ncheckpoint:")[0]
        for line in filter(settings.match, groups.splitlines()):
            if not line.strip().startswith("#"):
                assert re.search(r"# (section 3\.\d|ours)", line), line


def make_mls(folder: Path) -> Path:
    """MLS's layout: 12 utterances to train with, 4 for dev, 4 for test."""
    rng = np.random.default_rng(0)
    for split, speaker, utterances in (("train", 10, 12), ("dev", 11, 4), ("test", 12, 4)):
        audio = folder / split / f"audio/{speaker}/20"
        audio.mkdir(parents=True)
        lines = []
        for number in range(utterances):
            name, text = f"{speaker}_20_{number:06}", " ".join(rng.choice(tiny.WORDS, size=3))
            tiny.make_recording(audio / f"{name}.flac", text, rng)
            lines.append(f"{name}\t{text}\n")
        (folder / split / "transcripts.txt").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory):
    options = {
        "SHARDS": "2",
        "VOCABULARY": "30",
        "PREPARE_OPTIONS": "--workers 1",
        "CTC_OPTIONS": ENCODER + FEW_UPDATES + "dataset.max_tokens=1000",
        "CHAT_OPTIONS": FEW_UPDATES,
        "MEASURE_OPTIONS": "--llm-dtype bfloat16 --batch-size 4 --cpu",
        "GENERATE_OPTIONS": "--max-len-b 6",
    }
    with preloaded_commands(tmp_path_factory.mktemp("commands")) as environment:
        yield {**environment, **options}


def run(environment: dict[str, str], *arguments: object) -> str:
    command = ["bash", RECIPE / "run.sh", *arguments]
    finished = subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_all_stages(environment: dict[str, str], llm_path: Path, tmp_path: Path):
    """And again: nothing is done twice, and a stage that is asked for is."""
    folders = [make_mls(tmp_path / "mls"), llm_path, tmp_path / "output"]
    output = run(environment, *folders, "--gpus", "1x24gb")
    assert re.findall(r"^== (\d)\. ", output, re.M) == list("1234567")
    perplexities = re.findall(r'^   (\w+): "test_ppl": "[\d.]+"', output, re.M)
    assert perplexities == ["text", "audio", "cascade", "none"]
    answers = (folders[2] / "logs/generate_18l.log").read_text()
    assert len(re.findall(r"^D-", answers, re.M)) == 4
    shards = sorted(
        path.name for path in (folders[2] / "data").glob("train.responses.*-of-*.jsonl")
    )
    assert shards == ["train.responses.1-of-2.jsonl", "train.responses.2-of-2.jsonl"]
    again = run(environment, *folders)
    assert len(re.findall(r"^== \d\. .*: done$", again, re.M)) == 7
    only = run(environment, *folders, "--stage", 2, "--only", 2)
    assert re.findall(r"^== .*", only, re.M) == ["== 2. Vocabulary"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "b"], "usage: run.sh MLS_DIR LLM_DIR OUTPUT_DIR"),
        (["a", "b", "c", "--layers", "12"], "run.sh: --layers must be 18 or 36, but is 12"),
        (["a", "b", "c", "--gpus", "2x40gb"], "run.sh: --gpus must be 8x80gb or 1x24gb, but is"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str):
    command = ["bash", str(RECIPE / "run.sh"), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 2
    assert finished.stderr.startswith(message)
