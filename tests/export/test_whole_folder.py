"""A folder is there whole, or not at all: on a full disk, after a kill, at every byte."""

import multiprocessing
import resource
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fairseq_audiochat.export.whole_folder import WholeFolder, write_weights

FORK = multiprocessing.get_context("fork")
TENSORS = {"weights": torch.arange(1000.0)}


def write(folder: Path, room: int | None = None, killed: bool = False) -> str:
    """Write in another process, whose files may have so many bytes; gives the error."""
    receiver, sender = FORK.Pipe(duplex=False)

    def limited() -> None:
        if killed:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            with WholeFolder(folder) as unfinished:
                write_weights(unfinished, TENSORS, b"vocabulary")
        except OSError as error:
            sender.send(str(error))

    process = FORK.Process(target=limited)
    process.start()
    process.join()
    if killed:
        assert process.exitcode == -signal.SIGXFSZ
        return "killed"
    assert process.exitcode == 0
    return receiver.recv() if receiver.poll() else ""


@pytest.mark.parametrize("room", [0, 1, 50, 4000])
def test_a_full_disk_leaves_nothing(tmp_path: Path, room: int):
    said = write(tmp_path / "published", room)
    assert said.startswith(f"{tmp_path / 'published'}: must be written whole, but: ")
    assert said.endswith("nothing is there now. Make room and give the same command again.")
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_no_folder_and_the_next_attempt_is_whole(tmp_path: Path):
    assert write(tmp_path / "published", 2000, killed=True) == "killed"
    assert not (tmp_path / "published").exists()
    assert (tmp_path / "published.unfinished_export").exists()
    assert write(tmp_path / "published") == ""
    assert [path.name for path in tmp_path.iterdir()] == ["published"]
    assert torch.equal(
        load_file(tmp_path / "published/model.safetensors")["weights"], TENSORS["weights"]
    )
    assert "must not exist yet, but does" in write(tmp_path / "published")


def test_a_folder_that_came_meanwhile_is_not_touched(tmp_path: Path):
    folder = tmp_path / "published"
    with pytest.raises(FileExistsError, match="must not exist yet"), WholeFolder(folder):
        folder.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["published"]
