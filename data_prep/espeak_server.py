"""A process that speaks with espeak-ng, each text as if it were the first.

What espeak-ng says depends on all that it said before. This process never speaks: it forks one
that does for each request, which costs milliseconds because nothing heavy is imported. Requests
are JSON lines on standard input; an answer is a JSON line and, behind it, the 16-bit samples that
it announces. Knows neither files nor our other modules.
"""

import json
import os
import sys
from typing import Any, BinaryIO

from espeak import Espeak


def main() -> None:
    """Answer requests until there are no more."""
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            _answer(json.loads(line), sys.stdout.buffer)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            _send(sys.stdout.buffer, error=f"espeak-ng ended with the status {status}")


def _answer(request: dict[str, Any], out: BinaryIO) -> None:
    try:
        espeak = Espeak(request["seed"])
        for voice in request["check_voices"]:
            espeak.check_voice(voice)
        samples = b""
        if request["text"]:
            style = request["voice"], request["words_per_minute"], request["pitch"]
            samples = espeak.speak(request["text"], *style).tobytes()
    except (ValueError, RuntimeError, ModuleNotFoundError) as error:
        _send(out, error=str(error), kind=type(error).__name__)
    else:
        _send(out, samples, sample_rate=espeak.sample_rate)


def _send(out: BinaryIO, samples: bytes = b"", **header: object) -> None:
    out.write(json.dumps({"bytes": len(samples), **header}).encode() + b"\n" + samples)
    out.flush()


if __name__ == "__main__":
    main()
