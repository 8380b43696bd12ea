"""Generated ids to text as they come, in whole characters.

A character can be several tokens, and what a token reads as can depend on what follows it.
Knows no model.
"""

from collections.abc import Callable, Sequence

_INCOMPLETE = "\ufffd"  # how decoders show bytes that are no character (yet)
_INVALID = 0xFF  # a byte that no character holds

Decode = Callable[[Sequence[int]], str]


def byte_run_ids(pieces: Sequence[str], decode: Decode) -> frozenset[int]:
    """The ids of single bytes, if one that is wrong changes what those before it read as.

    Hugging Face's decoder for byte fallback takes a run of bytes as a whole, sentencepiece takes
    every character by itself.

    Args:
        pieces: The name of each id.
        decode: From ids to text.
    """
    names = {f"<0x{byte:02X}>": byte for byte in range(256)}
    ids = {names[piece]: token for token, piece in enumerate(pieces) if piece in names}
    if len(ids) < len(names):
        return frozenset()
    character = [ids[byte] for byte in "é".encode()]
    if decode([*character, ids[_INVALID]]).startswith("é"):
        return frozenset()
    return frozenset(ids.values())


class TextStream:
    """The text of an answer, piece by piece: joined, the pieces are the whole text.

    Args:
        decode: From ids to text.
        byte_runs: Ids whose runs are read as a whole, see `byte_run_ids`.
    """

    def __init__(self, decode: Decode, byte_runs: frozenset[int] = frozenset()) -> None:
        self.ids: list[int] = []
        self._decode = decode
        self._byte_runs = byte_runs
        self._run: str | None = None  # the text up to a run of bytes that may go on
        self._given = 0  # characters

    def add(self, token: int) -> str:
        """What can be read since the last time; often nothing."""
        self.ids.append(token)
        text = self._decode(self.ids)
        if token in self._byte_runs:
            self._run = text
        if text == self._run:  # also behind a control symbol, which reads as nothing
            return ""
        return self._new(text.rstrip(_INCOMPLETE))

    def rest(self) -> str:
        """What has been held back."""
        return self._new(self._decode(self.ids))

    def _new(self, text: str) -> str:
        piece = text[self._given :]
        self._given = max(self._given, len(text))
        return piece
