"""The page as its command serves it, and what a visitor does there, with and without a browser."""

import contextlib
import html
import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from playwright.sync_api import BrowserContext, Locator, expect

_ANSWERING = 30_000  # milliseconds that nothing should ever take


class Server(NamedTuple):
    """A running page."""

    process: "subprocess.Popen[str]"
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def peak_megabytes(self) -> float:
        """The most memory that it has ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def free_port() -> int:
    """Of the loopback address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def served(*options: object, folder: Path) -> Iterator[Server]:
    """``python -m fairseq_audiochat.page``, until it has said its address; stopped as by a user."""
    port = free_port()
    command = ["-m", "fairseq_audiochat.page", "--port", port, *options]
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=(folder / "server.log").open("w"),
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)},
    )
    try:
        said = process.stdout.readline()
        assert f"http://127.0.0.1:{port}/" in said, (folder / "server.log").read_text()[-4000:]
        yield Server(process, port)
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0, (folder / "server.log").read_text()[-4000:]


class Tab:
    """A browser's tab with the page open."""

    def __init__(self, browser: BrowserContext, server: Server) -> None:
        self.page = browser.new_page()
        self.requests: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(server.url)
        self.box = self.page.get_by_placeholder("Write a question")
        self.questions = self.page.get_by_test_id("user")
        self.answers = self.page.get_by_test_id("bot")
        self.players = self.page.get_by_test_id("waveform-Audio")
        self.picture = self.page.locator(".image-frame img")
        self.attached = self.page.get_by_role("listitem", name="File thumbnail")
        self.sentences = self.page.get_by_test_id("toast-body")

    def choose(self, *files: Path) -> None:
        """Choose files to upload."""
        self.page.get_by_test_id("file-upload").set_input_files(list(files))

    def attach(self, *recordings: Path) -> None:
        """Upload, and wait until the recordings are in the box."""
        self.choose(*recordings)
        expect(self.attached).to_have_count(len(recordings))

    def detach(self) -> None:
        """Take all recordings out of the box."""
        for remaining in range(self.attached.count() - 1, -1, -1):
            self.attached.first.get_by_label("Remove file").click()
            expect(self.attached).to_have_count(remaining)

    def record(self) -> None:
        """Speak for a second by the recorder's clock."""
        self.page.get_by_label("Record audio").click()
        self.page.get_by_label("Start recording").click()
        expect(self.page.get_by_text("0:01")).to_be_visible()
        self.page.get_by_label("Stop recording").click()
        self.page.get_by_label("Attach audio").click()
        expect(self.attached).to_have_count(1)

    def ask(self, text: str = "", *recordings: Path) -> None:
        """Send a question."""
        if recordings:
            self.attach(*recordings)
        self.box.fill(text)
        self.box.press("Enter")

    def has_answers(self, *answers: str) -> None:
        """Wait until all answers have been given, to their end."""
        for index, answer in enumerate(answers):
            expect(self.answers.nth(index)).to_have_text(_visible(answer), timeout=_ANSWERING)
        expect(self.answers).to_have_count(len(answers))

    def read_sentence(self) -> str:
        """What the page says of a question that was not answered; it is closed then."""
        expect(self.sentences).to_have_count(1, timeout=_ANSWERING)
        text = self.sentences.inner_text().splitlines()[-1]  # below "Warning"
        self.page.get_by_test_id("toast-close").click()
        expect(self.sentences).to_have_count(0)
        return text

    def download(self, index: int) -> bytes:
        """The content of a recording in the dialogue."""
        link: Locator = self.page.get_by_test_id("download-link").nth(index)
        return bytes(self.page.request.get(link.get_attribute("href") or "").body())


class HttpVisitor:
    """A visitor without a browser, who says what a browser would."""

    def __init__(self, server: Server) -> None:
        self.url = f"{server.url}/gradio_api"
        self.session = uuid4().hex

    def ask(self, text: str) -> list[str]:
        """Ask, and wait for the whole answer; gives all that the dialogue shows then."""
        self._call(0, {"text": text, "files": []})
        last = self._call(1, None, None)
        shown: list[dict[str, Any]] = last["output"]["data"][1]
        return [html.unescape(message["content"][0]["text"]) for message in shown]

    def _call(self, function: int, *inputs: Any) -> dict[str, Any]:
        """What a function of the page gives in the end; what stays on the server is None here."""
        body = {"data": inputs, "fn_index": function, "session_hash": self.session}
        kind = {"Content-Type": "application/json"}
        join = urllib.request.Request(f"{self.url}/queue/join", json.dumps(body).encode(), kind)
        urllib.request.urlopen(join).close()
        with urllib.request.urlopen(f"{self.url}/queue/data?session_hash={self.session}") as lines:
            events = (json.loads(line[5:]) for line in lines if line.startswith(b"data:"))
            last = next(event for event in events if event["msg"] == "process_completed")
        assert last["success"], last
        return last

    def upload(self, content: bytes) -> None:
        """Send a file."""
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
        body = head + content + b"\r\n--x--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/upload", body, kind)).close()


def _visible(text: str) -> "re.Pattern[str]":
    """Text, whatever a browser makes of blanks and control characters (of a random LLM)."""
    blank = re.compile(r"[\s\x00-\x1f\x7f-\xa0]")
    seen = [re.escape(character) for character in text if not blank.match(character)]
    between = blank.pattern + "*"
    return re.compile(between.join(["^", *seen, "$"]))
