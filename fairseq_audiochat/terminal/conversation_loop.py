"""Reads lines, does what they say, and shows answers as they come.

Knows neither how lines are taken apart nor what a dialogue remembers.
"""

from collections.abc import Callable
from pathlib import Path

from fairseq_audiochat.terminal.console import Console
from fairseq_audiochat.terminal.line import RECORD, Command, Part, parse, path_of
from fairseq_audiochat.terminal.message_file import Message
from fairseq_audiochat.terminal.microphone import record
from fairseq_audiochat.terminal.session import Session

HELP = """\
Type text, and Enter. In a turn, :audio FILE and :record stand for recordings, as many as you like:
  translate :audio first.wav and then :audio "second one.flac"
Commands:
  :audio FILE [TEXT]   ask with a recording, and text perhaps
  :record [TEXT]       record from the microphone: Enter begins, Enter ends
  :system [TEXT]       show the system prompt, or set it; ":system off" removes it
  :history             what was said
  :undo                forget the last turn and its answer
  :reset               begin a new dialogue; the system prompt stays
  :save FILE           write the dialogue as JSON
  :load FILE           go on with a saved dialogue
  :help                this
  :quit                end, as Ctrl-D does
Ctrl-C stops an answer. A line that begins with a blank is text, whatever stands in it first."""
COMMANDS = tuple(":audio :record :system :history :undo :reset :save :load :help :quit".split())

_PROMPT = "you> "


class ConversationLoop:
    """A session in a terminal.

    Args:
        session: Answers.
        console: Shows.
        max_new_tokens: Where an answer is cut.
        max_audio_seconds: Of a recording from the microphone.
    """

    def __init__(
        self,
        session: Session,
        console: Console,
        max_new_tokens: int,
        max_audio_seconds: float | None,
    ) -> None:
        self._session, self._console = session, console
        self._max_new_tokens, self._max_audio_seconds = max_new_tokens, max_audio_seconds
        self._commands: dict[str, Callable[[str], None]] = {
            "system": self._system,
            "history": self._history,
            "undo": self._undo,
            "reset": self._reset,
            "save": self._save,
            "load": self._load,
            "help": lambda _: console.line(HELP),
        }

    def run(self) -> None:
        """Until the user ends it."""
        while True:
            try:
                line = self._console.read(_PROMPT)
            except EOFError:
                if self._console.is_interactive:
                    self._console.line()
                return
            except KeyboardInterrupt:
                self._console.notice("\n:quit or Ctrl-D ends")
                continue
            if line.strip() == ":quit":
                return
            self._try(line)

    def _try(self, line: str) -> None:
        """Do what a line says; whatever goes wrong, the session goes on."""
        try:
            self._do(line)
        except (KeyboardInterrupt, EOFError):  # Ctrl-D: where Enter would begin a recording
            self._console.notice("\nstopped")
        except (ValueError, OSError, RuntimeError, ImportError) as error:
            self._console.error(str(error))

    def _do(self, line: str) -> None:
        said = parse(line)
        if not isinstance(said, Command):
            if said:
                self._ask(said)
            return
        if said.name not in self._commands:
            raise ValueError(
                f"':{said.name}' must be a command, but is none; :help lists them. A line that "
                "begins with a blank is text."
            )
        self._commands[said.name](said.argument)

    def _ask(self, parts: list[Part]) -> None:
        parts = [self._recorded(part) for part in parts]
        dropped = self._session.dropped_turns
        stream = self._session.ask(parts)
        try:
            for piece in stream:
                self._console.write(piece)
        except KeyboardInterrupt:
            stream.close()
            self._console.notice("\nstopped; this turn is forgotten")
            return
        finally:
            self._session.keep()
        self._console.line()
        if stream.answer.ended == "length":
            self._console.notice(f"cut after {self._max_new_tokens} tokens (--max-new-tokens)")
        if self._session.dropped_turns > dropped:
            count = self._session.dropped_turns
            self._console.notice(f"the {count} oldest turns are read no more (--drop-oldest-turns)")

    def _recorded(self, part: Part) -> Part:
        return record(self._console, self._max_audio_seconds) if part is RECORD else part

    def _system(self, text: str) -> None:
        if text:
            self._session.set_system("" if text == "off" else text)
        self._console.notice(f"system prompt: {self._session.system or 'none'}")

    def _history(self, _: str) -> None:
        for message in self._session.messages:
            self._console.line(f"{message['role']}: {shown(message)}")

    def _undo(self, _: str) -> None:
        self._console.notice(f"forgotten: {shown(self._session.undo())}")

    def _reset(self, _: str) -> None:
        self._begun("a new dialogue", self._session.reset())

    def _save(self, name: str) -> None:
        path = _file(name, "save")
        self._session.save(path)
        self._console.notice(f"saved: {path}")

    def _load(self, name: str) -> None:
        aside = self._session.load(_file(name, "load"))
        self._begun(f"{len(self._session.messages)} messages loaded", aside)

    def _begun(self, what: str, aside: Path | None) -> None:
        self._console.notice(what + (f"; what was said before is in {aside}" if aside else ""))


def shown(message: Message) -> str:
    """A message to read, with its recordings by name."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return " ".join(_shown_part(part) for part in content)


def _shown_part(part: Part) -> str:
    if part["type"] == "audio":
        return f"[{Path(part.get('audio') or part['path']).name}]"
    return "[recording]" if part["type"] == "input_audio" else str(part["text"])


def _file(name: str, command: str) -> Path:
    if not name:
        raise ValueError(f":{command} must be followed by a file, but is not.")
    return path_of(name)
