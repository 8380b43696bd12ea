"""run.json: what may be added to an output folder, and what is refused."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError

import pytest

from fairseq_audiochat.evaluate import run_record
from fairseq_audiochat.evaluate.run_record import digest, read_run, remember_run

BEGUN = {
    "llm": {"fingerprint": "f", "dtype": "float32"},
    "arms": {"e2e": {"kind": "end-to-end", "sha256": "1", "path": "/a"}},
    "test_sets": {"mls": {"sha256": {"test.tsv": "2"}}},
    "seed": 1,
}


def test_arms_and_test_sets_may_be_added(tmp_path):
    remember_run(tmp_path, BEGUN)
    more = {**BEGUN, "arms": {"ctc": {"kind": "cascade", "sha256": "3"}}, "seed": 2}
    made = remember_run(tmp_path, more)
    assert list(made["arms"]) == ["e2e", "ctc"]
    assert made["seed"] == 2
    assert len(made["runs"]) == 2
    assert read_run(tmp_path) == made


def test_versions_of_what_is_installed(tmp_path, monkeypatch):
    def installed(package):
        if package == "statsmodels":
            raise PackageNotFoundError(package)
        return f"1.0 of {package}"

    monkeypatch.setattr(run_record, "version", installed)
    versions = remember_run(tmp_path, BEGUN)["runs"][0]["versions"]
    assert versions["torch"] == "1.0 of torch"
    assert versions["scipy"] == "1.0 of scipy"
    assert set(versions) > {"transformers", "fairseq_audiochat", "python"}
    assert "statsmodels" not in versions


def test_another_command_may_read_further_files_of_a_test_set(tmp_path):
    remember_run(tmp_path, BEGUN)
    made = remember_run(tmp_path, {"test_sets": {"mls": {"sha256": {"test.answers.jsonl": "4"}}}})
    assert made["test_sets"]["mls"]["sha256"] == {"test.tsv": "2", "test.answers.jsonl": "4"}


def test_a_checkpoint_may_have_moved(tmp_path):
    remember_run(tmp_path, BEGUN)
    remember_run(tmp_path, {"arms": {"e2e": {**BEGUN["arms"]["e2e"], "path": "/b"}}})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"llm": {"fingerprint": "g", "dtype": "float32"}}, "llm"),
        ({"arms": {"e2e": {"kind": "end-to-end", "sha256": "9"}}}, "arms: e2e"),
        ({"test_sets": {"mls": {"sha256": {"test.tsv": "9"}}}}, "test_sets: mls"),
    ],
)
def test_what_has_changed_is_refused(tmp_path, changed, named):
    remember_run(tmp_path, BEGUN)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(ValueError, match=f"gone on with as it was begun, but differs in {named};"):
        remember_run(tmp_path, {**BEGUN, **changed})
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"run\.json: the folder of an evaluation must hold"
    ):
        read_run(tmp_path)
    for content in ("[]", "{", json.dumps({"format": "other/1"})):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(ValueError, match="must be of the format"):
            read_run(tmp_path)


def test_digest_is_sha256(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 1000)
    assert digest(path) == hashlib.sha256(b"abc" * 1000).hexdigest()


def test_commands_may_read_different_files_of_a_test_set(tmp_path):
    """Their digests come together; a file that both read must be the same."""
    remember_run(tmp_path, BEGUN)
    other = {"mls": {"sha256": {"test.tsv": "2", "test.answers.jsonl": "4"}}}
    made = remember_run(tmp_path, {"test_sets": other})
    assert remember_run(tmp_path, BEGUN)["test_sets"] == made["test_sets"] == other
    changed = {"mls": {"sha256": {"test.answers.jsonl": "5"}}}
    with pytest.raises(ValueError, match="differs in test_sets: mls;"):
        remember_run(tmp_path, {"test_sets": changed})
