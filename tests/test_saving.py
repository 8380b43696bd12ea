"""A checkpoint that was there survives a kill and a full disk, at every byte."""

import multiprocessing
import pickle
import re
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

from fairseq_audiochat import saving

FORK = multiprocessing.get_context("fork")
NAMES = ("checkpoint_1.pt", "checkpoint_last.pt")


def state(value: int) -> dict[str, object]:
    return {"model": torch.full((2000,), value), "value": value}


def save_and_copy(folder: Path, value: int) -> None:
    """As fairseq.checkpoint_utils.save_checkpoint does it."""
    first, last = (str(folder / name) for name in NAMES)
    checkpoint_utils.torch_persistent_save(state(value), first)
    assert PathManager.copy(first, last, overwrite=True)


def stored(path: Path) -> int:
    """What a file holds; an error if it is not whole."""
    loaded = torch.load(path, weights_only=True)
    assert (loaded["model"] == loaded["value"]).all()
    return loaded["value"]


def run_with_room(room: int, action: Callable[[], None], killed: bool = False) -> str:
    """Run in a process whose files may have so many bytes; one more fails, or kills it."""
    receiver, sender = FORK.Pipe(duplex=False)

    def limited() -> None:
        if killed:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            action()
        except OSError as error:
            sender.send(str(error))

    process = FORK.Process(target=limited)
    process.start()
    process.join()
    if killed:
        assert process.exitcode == -signal.SIGXFSZ
        return ""
    assert process.exitcode == 0
    return receiver.recv() if receiver.poll() else ""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Checkpoints that are there already."""
    monkeypatch.setattr(saving, "PAUSE_SECONDS", 0.0)
    save_and_copy(tmp_path, 1)
    return tmp_path


def test_it_stands_in_fairseqs_place(folder: Path):
    assert checkpoint_utils.torch_persistent_save is saving.save
    assert PathManager.copy is saving.copy
    assert [stored(folder / name) for name in NAMES] == [1, 1]
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)


def rooms(folder: Path) -> range:
    """Twenty places in a file, before its first and before its last byte among them."""
    last_byte = (folder / NAMES[0]).stat().st_size - 1
    return range(last_byte, -1, -(last_byte // 19))


@pytest.mark.parametrize("action", ["save", "copy"])
def test_a_full_disk_leaves_what_was_there(folder: Path, action: str):
    first, last = (str(folder / name) for name in NAMES)
    for room in rooms(folder):
        if action == "save":
            message = run_with_room(room, lambda: saving.save(state(2), first))
        else:
            message = run_with_room(room, lambda: saving.copy(first, last))
        path = first if action == "save" else last
        rule = f"{path}: a checkpoint must be written whole, but: [Errno 27] File too large; "
        assert message.startswith(rule), message
        assert message.endswith("Make room and give the same command again.")
        assert [stored(folder / name) for name in NAMES] == [1, 1]
        assert not list(folder.glob("*.tmp"))  # the room is free again


@pytest.mark.parametrize("action", ["save", "copy"])
def test_a_kill_leaves_what_was_there(folder: Path, action: str):
    """SIGXFSZ ends the process as SIGKILL does, and at a known byte."""
    first, last = (str(folder / name) for name in NAMES)
    saving.save(state(2), str(folder / "other.pt"))
    for room in rooms(folder):
        if action == "save":
            run_with_room(room, lambda: saving.save(state(2), first), killed=True)
        else:
            run_with_room(room, lambda: saving.copy(str(folder / "other.pt"), last), killed=True)
        assert [stored(folder / name) for name in NAMES] == [1, 1]
    save_and_copy(folder, 3)  # what the kills left is in nobody's way
    assert [stored(folder / name) for name in NAMES] == [3, 3]
    assert not list(folder.glob("*.tmp"))


def test_fairseqs_own_functions_do_not_survive_it(folder: Path):
    """Else the two above would prove nothing."""
    source, last = folder / "other.pt", folder / NAMES[1]
    saving.save(state(2), str(source))
    room = source.stat().st_size // 2
    run_with_room(room, lambda: saving._fairseq_copy(str(source), str(last)) and None)
    with pytest.raises((OSError, RuntimeError, EOFError)):
        stored(last)


def test_a_drive_that_fails_once_is_asked_again(folder: Path, monkeypatch: pytest.MonkeyPatch):
    torch_save, calls = torch.save, []

    def fails_once(what: object, file) -> None:
        calls.append(file)
        file.write(b"half")
        if len(calls) == 1:
            raise OSError(5, "Input/output error")
        file.seek(0)
        torch_save(what, file)

    monkeypatch.setattr(torch, "save", fails_once)
    saving.save(state(4), str(folder / NAMES[0]))
    assert stored(folder / NAMES[0]) == 4
    assert len(calls) == 2


def test_what_cannot_be_pickled_is_told_at_once(folder: Path):
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        saving.save({"a": lambda: None}, str(folder / NAMES[0]))
    assert stored(folder / NAMES[0]) == 1


def test_a_missing_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(saving, "PAUSE_SECONDS", 0.0)
    path = str(tmp_path / "none" / "checkpoint.pt")
    with pytest.raises(OSError, match=re.escape(f"{path}: a checkpoint must be written whole")):
        saving.save(state(1), path)
