"""A server that speaks vLLM's completions protocol in front of a tiny LLM, and fails on demand.

Requests with ids get ids (``prompt`` as a list, ``return_token_ids``); vLLM's token_ids hold the
EOS that ended them. Knows no client.
"""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

from fairseq_audiochat.data.template_loading import load_template
from fairseq_audiochat.modules.greedy_response import respond
from fairseq_audiochat.modules.llm_loading import load_llm

MODEL = "tiny"
HANG_SECONDS = 2.0


class CompletionsServer(ThreadingHTTPServer):
    """A context with a ``url``.

    Args:
        llm: Folder of the LLM.
        fault: From the number of a completion request (from 0; the first is the probe) to what
            goes wrong: ``500``, ``hang``, ``no ids``, ``short``, ``other model``, ``no json``,
            ``too long``, ``other prompt``; None answers.
        port: Where it listens; 0 takes a free one.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, llm: Path, fault: Callable[[int], str | None] = lambda _: None, port: int = 0
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.template = load_template(llm)
        self.llm = load_llm(llm, torch.float32)
        self.fault = fault
        self.lock = threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.takes_ids = True
        self.tokenizes = 0  # 1: there is vLLM's /tokenize; 2: of another tokenizer
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)

    def ids_of(self, text: str) -> list[int]:
        """As vLLM tokenises a prompt that is text, for Llama-2."""
        return [self.template.bos_id, *self.template._encode_with_dummy_prefix(text)]

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """What vLLM answers."""
        prompt = body["prompt"]
        if isinstance(prompt, str):
            prompt = self.ids_of(prompt)
        with self.lock:
            eos = self.template.eos_id
            ((ids, ended),) = respond(self.llm, [prompt], [body["max_tokens"]], eos)
        token_ids = [*ids, eos] if ended == "eos" else ids
        choice = {
            "index": 0,
            "text": self.template.decode(ids),
            "logprobs": None,
            "finish_reason": "stop" if ended == "eos" else "length",
        }
        if body.get("return_token_ids"):
            choice |= {"token_ids": token_ids, "prompt_token_ids": prompt}
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(token_ids)}
        usage["total_tokens"] = sum(usage.values())
        return {
            "id": "x",
            "object": "text_completion",
            "created": 0,
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }


class _Handler(BaseHTTPRequestHandler):
    server: CompletionsServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize" and self.server.tokenizes:
            ids = [*self.server.ids_of(body["prompt"]), *([5] if self.server.tokenizes > 1 else [])]
            return self._send(200, {"tokens": ids, "count": len(ids)})
        if self.path != "/v1/completions":
            return self._send(404, {"message": "no such place"})
        if isinstance(body["prompt"], list) and not self.server.takes_ids:
            return self._send(400, {"message": "prompt must be a string"})
        with self.server.lock:
            number = len(self.server.bodies)
            self.server.bodies.append(body)
        if body["model"] != MODEL:
            return self._send(404, {"message": f"The model `{body['model']}` does not exist."})
        return self._fail(self.server.fault(number), body)

    def _fail(self, fault: str | None, body: dict[str, Any]) -> None:
        if fault == "500":
            return self._send(500, {"message": "out of memory"})
        if fault == "too long":
            return self._send(400, {"message": "maximum context length is 9 tokens"})
        if fault == "no json":
            return self._send(200, "hello")
        if fault == "hang":
            time.sleep(HANG_SECONDS)
        answer = self.server.complete(body)
        choice = answer["choices"][0]
        if fault == "no ids":
            choice.pop("token_ids", None)
        if fault == "short":
            choice.update(token_ids=choice["token_ids"][:-1][:1], finish_reason="length")
        if fault == "other prompt":
            choice.update(prompt_token_ids=[5, *body["prompt"]])
        if fault == "other model":
            answer["model"] = "llama-3"
        return self._send(200, answer)

    def _send(self, status: int, answer: Any) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if answer == "hello" else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with suppress(OSError):  # the client may have gone
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass
