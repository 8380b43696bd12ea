"""From scores under each distortion to tables: numbers first, then text. Loads no model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_audiochat.data.distortion.specification import CLEAN
from fairseq_audiochat.evaluate.arms import CASCADE, LISTENING
from fairseq_audiochat.evaluate.markdown import as_markdown
from fairseq_audiochat.evaluate.perplexity.table import (
    ScoredTestSet,
    arm_results,
    groupings,
    interval_text,
    number_text,
    read_records,
)
from fairseq_audiochat.evaluate.robustness.distortions import folder_name, snr_db

_NAMED_EXCLUSIONS = 5  # in the text; the JSON file names all
Found = Mapping[str, Any]


def results(folder: Path, run: Found, by: Sequence[str]) -> dict[str, Any]:
    """Every number of the report, by test set.

    Args:
        folder: Where each distortion has a folder of records.
        run: What ``run.json`` says.
        by: Break-downs.
    """
    return {
        name: _of_test_set(_read(folder, run, name), run, by, name)
        for name in run["test_sets"]
        if (folder / folder_name(CLEAN) / "scores" / name).is_dir()
    }


def _read(folder: Path, run: Found, test_set: str) -> dict[str, ScoredTestSet]:
    """The records of each distortion; of clean recordings also those of arms that do not listen."""
    listening = {arm: made for arm, made in run["arms"].items() if made["kind"] in LISTENING}
    return {
        distortion: read_records(
            folder / folder_name(distortion),
            run if distortion == CLEAN else {**run, "arms": listening},
            test_set,
        )
        for distortion in run["distortions"]
        if (folder / folder_name(distortion) / "scores" / test_set).is_dir()
    }


def _of_test_set(
    records: Mapping[str, ScoredTestSet], run: Found, by: Sequence[str], name: str
) -> dict[str, Any]:
    excluded = _exclusions(records)
    left_out = {entry["id"] for entry in excluded}
    ids = [id for id in records[CLEAN].utterances if id not in left_out]
    if not ids:
        raise ValueError(
            f"test set {name!r}: some utterance must be scored in every arm under every "
            f"distortion, but none is (first: {excluded[0]['id']!r}, {excluded[0]['distortion']}, "
            f"{excluded[0]['arm']}: {excluded[0]['reason']})."
        )

    def measured(ids: Sequence[str]) -> dict[str, Any]:
        found = {
            distortion: arm_results(its_records, run, ids)
            for distortion, its_records in records.items()
        }
        return {
            "utterances": len(ids),
            "unheard": _of_kinds(found[CLEAN], listening=False),
            "distortions": {
                distortion: _of_kinds(arms, listening=True) for distortion, arms in found.items()
            },
        }

    groups = groupings(records[CLEAN]._replace(ids=ids), by, name)
    return {
        **measured(ids),
        "snr_db": {distortion: snr_db(run["distortions"][distortion]) for distortion in records},
        "excluded": excluded,
        "missing": {
            distortion: found.missing for distortion, found in records.items() if found.missing
        },
        "by": {
            title: {group: measured(members) for group, members in parts.items()}
            for title, parts in groups.items()
        },
    }


def _of_kinds(arms: Mapping[str, Found], listening: bool) -> dict[str, Found]:
    return {arm: made for arm, made in arms.items() if (made["kind"] in LISTENING) == listening}


def _exclusions(records: Mapping[str, ScoredTestSet]) -> list[dict[str, str]]:
    """What some arm did not score under some distortion."""
    return [
        {**entry, "distortion": distortion}
        for distortion, found in records.items()
        for entry in found.excluded
    ]


def as_text(found: Found) -> str:
    """The report in Markdown."""
    return "\n".join(_section(name, its_results) for name, its_results in found.items())


def _section(name: str, found: Found) -> str:
    lines = [f"## {name}: {found['utterances']} utterances", "", _main_table(found), ""]
    unheard = [
        f"{arm} {number_text(made['perplexity'], 3)}" for arm, made in found["unheard"].items()
    ]
    lines += [f"Perplexity without recordings: {', '.join(unheard)}.", "", *_notes(found)]
    for title, groups in found["by"].items():
        for heading, table in _group_tables(title, groups):
            lines += [f"### {heading} by {title}", "", table, ""]
    return "\n".join(lines)


def heard(found: Found) -> dict[str, str]:
    """The kinds of all arms that listen, under whatever distortion they were scored."""
    return {
        arm: made["kind"] for arms in found["distortions"].values() for arm, made in arms.items()
    }


def _main_table(found: Found) -> str:
    kinds = heard(found)
    cascades = [arm for arm, kind in kinds.items() if kind == CASCADE]
    rows = [
        ["recordings", *(f"perplexity: {arm}" for arm in kinds), *(f"WER %: {c}" for c in cascades)]
    ]
    for distortion, arms in found["distortions"].items():
        perplexities = [_cell(arms.get(arm), "perplexity", "interval", 3) for arm in kinds]
        wers = [_cell(arms.get(arm), "wer", "wer_interval", 1) for arm in cascades]
        rows.append([distortion, *perplexities, *wers])
    return as_markdown(rows)


def _cell(arm: Found | None, number: str, interval: str, digits: int) -> str:
    """A number with its interval; nothing for an arm that was not scored here."""
    if arm is None:
        return ""
    bounds = interval_text(arm[interval], digits)
    return f"{number_text(arm[number], digits)} {bounds}".strip()


def _notes(found: Found) -> list[str]:
    """What the table does not say by itself."""
    notes = [
        f"{made['empty_transcripts']} transcripts of {arm} under {distortion} are empty; the LLM "
        "read an empty prompt."
        for distortion, arms in found["distortions"].items()
        for arm, made in arms.items()
        if made.get("empty_transcripts")
    ]
    measured = {arm for arms in found["distortions"].values() for arm in arms}
    for distortion, arms in found["missing"].items():
        lacking = [arm for arm in arms if arm in measured]  # others are of other commands
        if lacking:
            notes.append(f"{', '.join(lacking)}: not scored under {distortion}.")
    excluded = found["excluded"]
    left_out = {entry["id"] for entry in excluded}
    if left_out:
        shown = "; ".join(
            f"{entry['id']} ({entry['distortion']}, {entry['arm']}: {entry['reason']})"
            for entry in excluded[:_NAMED_EXCLUSIONS]
        )
        more = ", ..." if len(excluded) > _NAMED_EXCLUSIONS else ""
        notes.append(f"{len(left_out)} utterances are left out of everything: {shown}{more}.")
    return [*notes, ""] if notes else []


def _group_tables(title: str, groups: Found) -> list[tuple[str, str]]:
    """For each arm a table of groups by distortions: of perplexities, and of a cascade's WER."""
    tables = []
    for arm, kind in heard(next(iter(groups.values()))).items():
        table = _group_table(title, groups, arm, "perplexity", digits=2)
        tables.append((f"Perplexity: {arm}", table))
        if kind == CASCADE:
            tables.append((f"WER %: {arm}", _group_table(title, groups, arm, "wer", digits=1)))
    return tables


def _group_table(title: str, groups: Found, arm: str, number: str, digits: int) -> str:
    distortions = next(iter(groups.values()))["distortions"]
    rows = [[title, "utterances", *distortions]]
    for group, found in groups.items():
        cells = [
            number_text(arms[arm][number], digits) if arm in arms else ""
            for arms in found["distortions"].values()
        ]
        rows.append([group, str(found["utterances"]), *cells])
    return as_markdown(rows)
