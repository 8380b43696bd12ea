"""``python -m fairseq_audiochat.plan``, as a user types it."""

from pathlib import Path

import pytest

from fairseq_audiochat.plan.__main__ import main, parser

CONFIGS = Path(__file__).parents[2] / "examples"
SMALL = ["+model.encoder_layers=1", "+model.encoder_width=16", "+model.encoder_ffn_width=32"]
SMALL += ["+model.encoder_heads=2", "+model.subsampling_channels=2"]
HYDRA = ["--config-dir", CONFIGS / "mls_llama2/config", "--config-name"]


def test_readme_lists_every_option():
    readme = (CONFIGS.parent / "README.md").read_text(encoding="utf-8")
    options = {flag for action in parser()._actions for flag in action.option_strings}
    options -= {"-h", "--help", "--config-dir", "--config-name"}
    assert {option for option in options if f"`{option}`" not in readme} == set()
    assert options


def plan(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and what is printed."""
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def figure(output: str, name: str) -> str:
    return next(line for line in output.splitlines() if line.strip().startswith(name))


def test_from_a_yaml_with_the_data_that_is_there(data_folder, llm_path, capsys):
    code, output = plan(
        capsys, *HYDRA, "chat", *SMALL, f"task.data={data_folder}", f"task.llm={llm_path}",
        "common.cpu=true", "optimization.max_update=50",
        "+task.llm_quantisation=int8", "+task.llm_shards=2",
    )  # fmt: skip
    assert code == 0
    assert "is not there: assumed" not in output
    assert "model.encoder_checkpoint is not there yet: assumed 1 layers" in output
    assert "task.llm_quantisation is planned as none, which is an upper bound of" in output
    assert "task.llm_shards is planned as 1, which is an upper bound of what 2 needs" in output
    # 20 utterances in batches of 2 for 64 GPUs: an update
    assert figure(output, "an epoch").split()[2:6] == ["1", "updates;", "20", "utterances,"]
    assert figure(output, "max_update").split()[1:3] == ["50:", "50.0"]
    assert figure(output, "utterances").split()[1] == "1,024"


def test_from_the_flags_of_fairseq_train_as_from_the_yaml(data_folder, capsys):
    same = ["--gpu-memory-gb", "2"]
    flags = "--task audio_ctc --arch conformer_ctc --criterion audio_ctc --optimizer adam "
    flags += "--max-tokens 50000 --update-freq 4 --distributed-world-size 16 --lr-scheduler "
    flags += "tri_stage --warmup-steps 20000 --max-update 300000 --no-epoch-checkpoints "
    flags += "--save-interval-updates 5000 --keep-interval-updates 2 --encoder-layers 1 "
    flags += "--encoder-width 16 --encoder-ffn-width 32 --encoder-heads 2 "
    flags += "--subsampling-channels 2"
    as_flags = plan(capsys, *same, data_folder, *flags.split())
    as_yaml = plan(capsys, *same, *HYDRA, "ctc_18l", *SMALL, f"task.data={data_folder}")
    assert as_flags == as_yaml
    assert as_flags[0] == 0
    assert as_flags[1].splitlines()[-1].startswith("It fits: 1.0 GB with 1 GB for CUDA itself")


def test_a_training_set_is_assumed_and_what_does_not_fit_is_said(capsys):
    small = [*HYDRA, "ctc_18l", *SMALL, "--utterances", "1000", "--hours", "4"]
    small += ["+model.encoder_dtype=bfloat16", "--gpu-memory-gb", "1.05"]
    code, output = plan(capsys, *small)
    assert code == 1
    assert "train.tsv is not there: assumed 1,000 utterances of 10 to 20 s, 4 hours" in output
    assert (
        "model.encoder_dtype is planned as float32, which is an upper bound of what bfloat16 needs"
        in output
    )
    warning = output.splitlines()[-1]
    assert warning.startswith("WARNING: it will not fit: 1.")
    assert "but a GPU has 1.05 GB; lower the batch size and raise update_freq" in warning


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*HYDRA, "ctc_99l"], "config/ctc_99l.yaml: the file must exist, but does not"),
        ([*HYDRA, "ctc_18l", "optimization.speed=2"], "but: Could not override 'optimization"),
        ([*HYDRA, "chat", "task.llm=/nowhere"], "the LLM must be a folder with config.json"),
        ([*HYDRA, "ctc_18l", "common.fp16=true"], "common.fp16 must be off in a plan, but is on"),
        ([*HYDRA, "ctc_18l", "task._name=other"], "The task must be one of audio_ctc, audio_chat"),
    ],
)
def test_mistakes_end_in_a_sentence(arguments, message, capsys):
    code, output = plan(capsys, *arguments)
    assert code == 2
    assert output.startswith("error: ")
    assert message in output
