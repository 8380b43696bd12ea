"""The key of a rating page: which utterance a sample is, and whose answer stands on which side.

Raters get the page and never the key. Knows no judgement.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairseq_audiochat.saving import whole_file

FORMAT = "fairseq_audiochat.rating_key/1"
RECORDS = "rating"
"""Where pages, keys and raters' files lie in an output folder, by test set."""
PAGE, KEY, RATERS = "page.html", "key.json", "raters"
SIDES = ("left", "right")
_MAKE = "make it with `python -m fairseq_audiochat.evaluate rating-page`"


@dataclass(frozen=True)
class Sample:
    """What is judged on one screen.

    Args:
        id: The utterance.
        level: Its level of word error rate, from 0.
        word_errors: Of the cascade's transcript.
        words: Of the reference transcript.
        question: As raters read it.
        reference: The right answer's spellings; none where it is not known.
        answers: By system.
        left: The system whose answer stands to the left.
    """

    id: str
    level: int
    word_errors: int
    words: int
    question: str
    reference: list[str]
    answers: dict[str, str]
    left: str

    def system(self, side: str) -> str:
        """Whose answer stands on a side."""
        (other,) = self.answers.keys() - {self.left}
        return self.left if side == SIDES[0] else other

    def answer(self, side: str) -> str:
        """The answer on a side."""
        return self.answers[self.system(side)]


@dataclass(frozen=True)
class RatingKey:
    """What unblinds a page.

    Args:
        systems: Two names, in the order of tables.
        wer_of: The cascade whose word errors make the levels.
        levels: Their labels.
        available: Utterances that each level has.
        wanted: Samples asked for at each level.
        seed: What drew them.
        samples: In the page's order; the first one is sample 1.
    """

    systems: list[str]
    wer_of: str
    levels: list[str]
    available: list[int]
    wanted: int
    seed: int
    samples: list[Sample]

    @property
    def page(self) -> str:
        """The page's name, which stands in the raters' files: a digest of all of this."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    def write(self, path: Path) -> None:
        """Write the file whole or not at all."""
        content = {"format": FORMAT, "page": self.page, **asdict(self)}
        with whole_file(str(path)) as file:
            file.write((json.dumps(content, indent=1) + "\n").encode())


def read_key(path: Path) -> RatingKey:
    """Read a key.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file is something else, or was changed.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: a rating must have the key of its page, but has none; {_MAKE}."
        )
    try:
        content = json.loads(path.read_bytes())
        page, form = content.pop("page"), content.pop("format")
        samples = [Sample(**sample) for sample in content.pop("samples")]
        key = RatingKey(samples=samples, **content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: it must be the key of a page, but is not; {_MAKE}.") from error
    if form != FORMAT or page != key.page:
        raise ValueError(
            f"{path}: the key must be as rating-page wrote it, in the format {FORMAT!r}, but is "
            f"not (its format is {_shown(form)}, its page {_shown(page)}); {_MAKE} again."
        )
    return key


def _shown(value: Any) -> str:
    return repr(value)[:60]
