"""A rater's file, as the page saves it: complete, of the page that the key is of, and of one rater.

Knows neither systems nor statistics.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fairseq_audiochat.evaluate.rating.key import SIDES

COLUMNS = ("page", "rater", "sample", "answer", "judgement")
JUDGEMENTS = {"success": True, "failure": False}
_FROM_PAGE = "give the file as the page saved it"

Place = tuple[int, str]
"""A sample's number, from 1, and a side."""


@dataclass(frozen=True)
class Rater:
    """Somebody's judgements.

    Args:
        path: The file.
        name: As the rater gave it.
        page: The page's name.
        successes: By place, whether the answer there is a success.
    """

    path: Path
    name: str
    page: str
    successes: dict[Place, bool]


def page_of(path: Path) -> str:
    """The page that a rater's file is of, from its first row.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no such file.
    """
    for _, row in _rows(path):
        return row["page"]
    raise ValueError(f"{path}: a rater's file must have judgements, but has none; {_FROM_PAGE}.")


def read_rater(path: Path, page: str, samples: int) -> Rater:
    """Read a rater's file.

    Args:
        path: The CSV file.
        page: The page's name, from its key.
        samples: How many the page has.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If a row is bad, double or missing: the first one, with its line.
    """
    name = ""
    successes: dict[Place, bool] = {}
    line_of: dict[Place, int] = {}
    for line, row in _rows(path):
        name = name or row["rater"]
        _check(row, f"{path}:{line}", page, name, samples)
        place = (int(row["sample"]), row["answer"])
        if place in successes:
            raise ValueError(
                f"{path}:{line}: an answer must be judged once, but {_shown(place)} is judged in "
                f"line {line_of[place]} already; {_FROM_PAGE}."
            )
        successes[place], line_of[place] = JUDGEMENTS[row["judgement"]], line
    _check_whole(path, max(line_of.values(), default=1), successes, samples)
    return Rater(path, name, page, successes)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Lines and their rows, behind a header that is right."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: a rater's file must be there, but is not.")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if tuple(header) != COLUMNS:
                raise ValueError(
                    f"{path}:1: the header must be {','.join(COLUMNS)!r}, but is "
                    f"{','.join(header)[:80]!r}; {_FROM_PAGE}."
                )
            for cells in reader:
                if len(cells) != len(COLUMNS):
                    raise ValueError(
                        f"{path}:{reader.line_num}: a row must have {len(COLUMNS)} cells, but has "
                        f"{len(cells)}; {_FROM_PAGE}."
                    )
                row = {name: cell.strip() for name, cell in zip(COLUMNS, cells)}
                yield reader.line_num, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: a rater's file must be CSV in UTF-8, but: {error}; {_FROM_PAGE}."
        ) from error


def _check(row: dict[str, str], place: str, page: str, name: str, samples: int) -> None:
    rules = {
        "page": (row["page"] == page, f"must be {page!r}, as in the key"),
        "rater": (row["rater"] == name != "", "must be one name in all rows"),
        "sample": (_is_number(row["sample"], samples), f"must be a number from 1 to {samples}"),
        "answer": (row["answer"] in SIDES, f"must be {' or '.join(SIDES)}"),
        "judgement": (row["judgement"] in JUDGEMENTS, f"must be {' or '.join(JUDGEMENTS)}"),
    }
    for column, (is_kept, rule) in rules.items():
        if not is_kept:
            raise ValueError(f"{place}: {column!r} {rule}, but is {row[column]!r}; {_FROM_PAGE}.")


def _is_number(text: str, highest: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= highest


def _check_whole(path: Path, line: int, successes: dict[Place, bool], samples: int) -> None:
    wanted = [(sample, side) for sample in range(1, samples + 1) for side in SIDES]
    missing = [place for place in wanted if place not in successes]
    if missing:
        raise ValueError(
            f"{path}:{line}: all {len(wanted)} answers must be judged, but {len(missing)} are not "
            f"when the file ends (first: {_shown(missing[0])}); let the rater open the page again, "
            "judge them and save it anew."
        )


def _shown(place: Place) -> str:
    return f"sample {place[0]}, {place[1]}"
