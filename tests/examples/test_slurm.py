"""The Slurm scripts, without Slurm: their syntax, what they ask for, and their command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import CTC, OPTIMIZATION, TINY_ENCODER, USER_DIR, run

FOLDER = Path(__file__).parents[2] / "examples/mls_llama2/slurm"
SCRIPTS = sorted(FOLDER.glob("*.sbatch"))
GPUS = {"ctc.sbatch": 16, "chat.sbatch": 64}  # sections 3.1 and 3.2
# Each node of Slurm's is a process here: what srun does, and the one answer of scontrol's.
SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
for ((node = 0; node < SLURM_NNODES; node++)); do
    "$@" &
    processes+=($!)
done
for process in "${processes[@]}"; do wait "$process" || exit 1; done
"""
SCONTROL = "#!/usr/bin/env bash\nprintf '%s\\n' localhost localhost\n"


def test_there_is_one_for_each_training():
    assert {path.name for path in SCRIPTS} == set(GPUS)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_its_syntax_and_what_it_asks_for(path: Path):
    subprocess.run(["bash", "-n", path], check=True)
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", path.read_text(), re.M))
    assert int(asked["nodes"]) * int(asked["gpus-per-node"]) == GPUS[path.name]
    assert asked["ntasks-per-node"] == "1"  # torchrun starts the processes of a node
    assert "requeue" in asked
    assert asked["open-mode"] == "append"  # a job that comes again keeps its log


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_it_says_what_it_needs(path: Path):
    ended = subprocess.run(["bash", path], capture_output=True, text=True)
    assert ended.returncode != 0
    assert f"usage: sbatch {path.name} DATA " in ended.stderr


def submit(path: Path, folder: Path, *arguments: object) -> str:
    """Run a script as a job of two nodes with one process each, on CPUs."""
    commands = folder / "commands"
    commands.mkdir(exist_ok=True)
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    slurm: dict[str, object] = {
        "NNODES": 2,
        "GPUS_ON_NODE": 1,
        "CPUS_PER_TASK": 1,
        "JOB_NODELIST": "node[1-2]",
    }
    slurm["JOB_ID"] = os.getpid()  # which the port comes from
    slurm["SUBMIT_DIR"] = FOLDER.parents[2]
    search = [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
    ended = subprocess.run(
        ["bash", str(path), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **{**os.environ, "PATH": os.pathsep.join(search), "OMP_NUM_THREADS": "1"},
            **{f"SLURM_{name}": str(value) for name, value in slurm.items()},
        },
    )
    assert ended.returncode == 0, ended.stdout[-4000:]
    return ended.stdout


def overrides(flags: list[object]) -> list[str]:
    """Flags of the model as Hydra's."""
    names = (str(flag).removeprefix("--").replace("-", "_") for flag in flags[::2])
    return [f"+model.{name}={value}" for name, value in zip(names, flags[1::2])]


@pytest.mark.skipif("AUDIOCHAT_ALL_TESTS" not in os.environ, reason="AUDIOCHAT_ALL_TESTS not set")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_job_that_comes_again_goes_on(
    path: Path, data_folder: Path, llm_path: Path, tmp_path: Path
):
    small = ["common.cpu=true", "dataset.num_workers=0", "+dataset.max_tokens=1000"]
    small += ["dataset.batch_size_valid=4", "optimization.update_freq=[1]"]
    if path.name == "ctc.sbatch":
        small[2] = "dataset.max_tokens=1000"
        arguments = [data_folder, tmp_path / "save", *overrides(TINY_ENCODER)]
    else:
        common = [data_folder, "--user-dir", USER_DIR, *CTC, *TINY_ENCODER, *OPTIMIZATION]
        ctc = ["--valid-subset", "dev", "--max-update", 1, "--save-dir", tmp_path / "ctc"]
        run("fairseq-train", *common, *ctc)
        checkpoint = tmp_path / "ctc/checkpoint_last.pt"
        small += ["+task.llm_shards=2", "task.llm_dtype=float32"]
        arguments = [data_folder, llm_path, checkpoint, tmp_path / "save"]
    submit(path, tmp_path, *arguments, *small, "optimization.max_update=1")
    submit(path, tmp_path, *arguments, *small, "optimization.max_update=3")
    output = (tmp_path / "save/hydra/hydra_train.log").read_text()
    assert re.search(r"Loaded checkpoint .*/checkpoint_last\.pt \(epoch \d @ 1 updates\)", output)
    assert "another batching" not in output
    state = torch.load(tmp_path / "save/checkpoint_last.pt", weights_only=True)
    assert state["optimizer_history"][-1]["num_updates"] == 3
    assert state["cfg"]["distributed_training"]["distributed_world_size"] == 2
    assert state["cfg"]["distributed_training"]["distributed_init_method"] == "env://"
