"""A server that speaks OpenAI's ``/v1/audio/speech``: a tone per word, and faults on demand.

Knows no client.
"""

import io
import json
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import soundfile

MODEL = "tone-1"
RATE = 24_000
SECONDS_PER_WORD = 0.1


def tone(text: str, voice: str) -> np.ndarray:
    """What is said: as long as the text has words, as high as the voice's name is long."""
    seconds = np.arange(int(RATE * SECONDS_PER_WORD * len(text.split()))) / RATE
    return (0.4 * np.sin(2 * np.pi * 100 * len(voice) * seconds)).astype(np.float32)


class SpeechServer(ThreadingHTTPServer):
    """A context with a ``url``.

    Args:
        fault: From the text to what goes wrong: ``400``, ``500``, ``hang``, ``no audio``,
            ``silence``; None speaks.
        promised: The size that a wav's header promises; None tells the truth.
    """

    daemon_threads = True

    def __init__(
        self, fault: Callable[[str], str | None] = lambda _: None, promised: int | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault, self.promised = fault, promised
        self.hang_seconds = 2.0
        self.bodies: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)


class _Handler(BaseHTTPRequestHandler):
    server: SpeechServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append({"path": self.path, **body})
        fault = self.server.fault(body["input"])
        if body["model"] != MODEL:
            return self._send(404, b'{"message": "no such model"}')
        if fault == "hang":
            time.sleep(self.server.hang_seconds)
        if fault in ("400", "500"):
            return self._send(int(fault), b'{"message": "not this text"}')
        if fault == "no audio":
            return self._send(200, b"hello")
        samples = tone(body["input"], body["voice"])
        return self._send(200, self._wav(samples * (fault != "silence")))

    def _wav(self, samples: np.ndarray) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, samples, RATE, "PCM_16", format="WAV")
        content = bytearray(file.getvalue())
        if self.server.promised is not None:
            size = struct.pack("<I", self.server.promised)
            place = content.index(b"data") + 4
            content[4:8] = content[place : place + 4] = size
        return bytes(content)

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        kind = "application/json" if status != 200 else "audio/wav"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with suppress(OSError):  # the client may have gone
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass
