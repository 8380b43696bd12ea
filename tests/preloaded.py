"""Commands in processes that have imported torch already: a shell script's tests in seconds.

A folder of commands (``python``, ``fairseq-hydra-train``, ...) is put before the PATH of a script.
Each hands its arguments, folder, environment and streams to a server, which forks and runs what
the real command would run: the same code in a process of its own, without the seconds that
importing takes. The server has imported no module of ours, so what a test changes is seen.
"""

import array
import json
import os
import runpy
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMANDS = {
    "fairseq-hydra-train": "fairseq_cli.hydra_train",
    "fairseq-validate": "fairseq_cli.validate",
    "fairseq-generate": "fairseq_cli.generate",
}
LIBRARIES = ["torch", "torchaudio", "transformers", "sentencepiece", "pyarrow.csv", "jiwer"]
CLIENT = """#!{python} -IS
import array, json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
request = json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd(), dict(os.environ)])
server.sendmsg([len(request).to_bytes(8, "little")], streams)
server.sendall(request.encode())
sys.exit(server.recv(1)[0])
"""


@contextmanager
def preloaded_commands(folder: Path) -> Iterator[dict[str, str]]:
    """An environment whose PATH begins with the commands; they end with the context."""
    address = str(folder / "server")
    for name in ("python", *COMMANDS):
        command = folder / name
        command.write_text(CLIENT.format(python=sys.executable, address=address))
        command.chmod(0o755)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, __file__, address], env=environment)
    try:
        while not Path(address).exists():
            assert server.poll() is None, "the server ended"
            time.sleep(0.05)
        yield {**environment, "PATH": f"{folder}:{environment['PATH']}"}
    finally:
        server.kill()
        server.wait()


def serve(address: str) -> None:
    """Fork for every request."""
    for name in (*LIBRARIES, *COMMANDS.values()):
        __import__(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address + ".new")
    listener.listen()
    os.rename(address + ".new", address)
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:  # a waiter, so that the server never waits
            process = os.fork()
            if process == 0:
                run(client)
            _, status = os.waitpid(process, 0)
            client.sendall(bytes([min(255, os.waitstatus_to_exitcode(status) % 256)]))
            os._exit(0)
        client.close()


def run(client: socket.socket) -> None:
    """Become the command."""
    head, ancillary, _, _ = client.recvmsg(8, socket.CMSG_SPACE(3 * 4))
    streams = array.array("i", ancillary[0][2])
    size, text = int.from_bytes(head, "little"), b""
    while len(text) < size:
        text += client.recv(size - len(text))
    name, arguments, folder, environment = json.loads(text)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    code = 0
    try:
        execute(name, arguments)
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def execute(name: str, arguments: list[str]) -> None:
    """What a command does."""
    if name in COMMANDS:
        sys.argv = [name, *arguments]
        sys.modules[COMMANDS[name]].cli_main()
    elif arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    sys.path.pop(0)  # of the tests
    serve(sys.argv[1])
