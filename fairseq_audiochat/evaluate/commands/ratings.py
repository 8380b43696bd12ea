"""What raters judged on the pages of an evaluation: the paper's Tables 3 and 4.

    python -m fairseq_audiochat.evaluate ratings evaluation ratings_Alice.csv ratings_Bob.csv

Files of all pages may be given at once, and more of them later; each is checked and kept under
DIR/rating. Success rates by word error rate with Wilson intervals, McNemar's test between the two
systems, the raters' agreement: ratings.md, ratings.json and ratings.png. Without any file, an
answer is a success if a spelling of the right answer occurs in it.
"""

import argparse
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fairseq_audiochat.evaluate.rating import report as rating_report
from fairseq_audiochat.evaluate.rating.key import KEY, RATERS, RECORDS, RatingKey, read_key
from fairseq_audiochat.evaluate.rating.rater_file import Rater, page_of, read_rater
from fairseq_audiochat.evaluate.rating.results import automatic_votes, results, votes_of
from fairseq_audiochat.evaluate.report_files import write_results
from fairseq_audiochat.evaluate.run_record import read_run
from fairseq_audiochat.metrics.question_answering import score_answer
from fairseq_audiochat.saving import whole_file


class Rating(NamedTuple):
    """A test set that is judged.

    Args:
        folder: Where its key and its raters' files are.
        key: Its page's key.
        raters: Who has judged, by name.
    """

    folder: Path
    key: RatingKey
    raters: list[Rater]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("folder", type=Path, help="what was --output of rating-page")
    parser.add_argument("files", type=Path, nargs="*", metavar="CSV", help="what raters sent back")


def run(args: argparse.Namespace) -> None:
    """Take in the raters' files, then write the report."""
    _take_in(_read_ratings(args.folder), args.files)
    write_report(args.folder)


def write_report(folder: Path) -> None:
    """Tables and picture, from what is kept in an output folder; prints the tables."""
    run_record = read_run(folder)
    found = {}
    for name, rating in _read_ratings(folder).items():
        excluded = run_record[RECORDS][name]["excluded"]
        by_reason = {entry["reason"]: entry["ids"] for entry in excluded}
        found[name] = _results(rating) | {"excluded": by_reason}
    text = rating_report.as_text(found)
    write_results(folder, "ratings", text, found)
    rating_report.draw(found, folder / "ratings.png")


def is_right(answer: str, aliases: Sequence[str]) -> bool:
    """The automatic stand-in: whether a spelling of the right answer occurs in an answer."""
    return score_answer(answer, aliases).occurs


def _results(rating: Rating) -> dict[str, Any]:
    names = [rater.name for rater in rating.raters]
    automatic = automatic_votes(rating.key, is_right)
    votes = votes_of(rating.key, rating.raters) if names else automatic
    if votes is None:
        return {"levels": {}}
    return results(rating.key, votes, names, automatic)


def _read_ratings(folder: Path) -> dict[str, Rating]:
    """By test set.

    Raises:
        ValueError: If no page was made, or a key or a rater's file is bad.
    """
    read_run(folder)
    keys = sorted((folder / RECORDS).glob(f"*/{KEY}"))
    if not keys:
        raise ValueError(
            f"{folder}: there must be a page that was judged, but there is none; make one with "
            "`python -m fairseq_audiochat.evaluate rating-page`."
        )
    return {path.parent.name: _read_rating(path.parent) for path in keys}


def _read_rating(folder: Path) -> Rating:
    key = read_key(folder / KEY)
    files = sorted((folder / RATERS).glob("*.csv"))
    raters = [read_rater(path, key.page, len(key.samples)) for path in files]
    _refuse_double(raters)
    return Rating(folder, key, sorted(raters, key=lambda rater: rater.name.casefold()))


def _take_in(ratings: dict[str, Rating], files: Sequence[Path]) -> None:
    """Check all files, then keep copies; one that is kept already is passed over."""
    rating_of = {rating.key.page: rating for rating in ratings.values()}
    taken: list[tuple[Rating, Rater]] = []
    for path in files:
        page = page_of(path)
        if page not in rating_of:
            raise ValueError(
                f"{path}:2: 'page' must be a page of this folder "
                f"({', '.join(map(repr, rating_of))}), but is {page!r}; give the folder whose "
                "page was judged."
            )
        rating = rating_of[page]
        rater = read_rater(path, page, len(rating.key.samples))
        if not any(_is_same(rater, other) for other in rating.raters):
            taken.append((rating, rater))
    for rating in rating_of.values():
        _refuse_double([*rating.raters, *(rater for of, rater in taken if of is rating)])
    for rating, rater in taken:
        _keep(rating.folder / RATERS, rater)


def _is_same(first: Rater, second: Rater) -> bool:
    return (first.name, first.successes) == (second.name, second.successes)


def _refuse_double(raters: Sequence[Rater]) -> None:
    seen: dict[str, Rater] = {}
    for rater in raters:
        other = seen.setdefault(rater.name.casefold(), rater)
        if other is not rater:
            raise ValueError(
                f"{rater.path}:2: every rater must have one file, but {rater.name!r} has "
                f"{other.path} too; leave out or remove one of them."
            )


def _keep(folder: Path, rater: Rater) -> None:
    folder.mkdir(exist_ok=True)
    digest = hashlib.sha256(rater.name.encode()).hexdigest()[:6]  # names may differ in signs alone
    name = f"{re.sub(r'[^0-9A-Za-z]+', '_', rater.name)}.{digest}.csv"
    with whole_file(str(folder / name)) as file:
        file.write(rater.path.read_bytes())
