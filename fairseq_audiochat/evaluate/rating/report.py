"""What people judged, in Markdown and as a picture; from results alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairseq_audiochat.evaluate.figure import BLUE, ORANGE, pyplot
from fairseq_audiochat.evaluate.markdown import as_markdown
from fairseq_audiochat.evaluate.rating.results import ALL

_INTERVAL = "95 %"
_NAMED = 5


def as_text(found: Mapping[str, Any]) -> str:
    """The report: a section for each test set."""
    return "\n\n".join(_section(name, results) for name, results in found.items()) + "\n"


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Success rates by level, a panel for each test set that was judged.

    Raises:
        ModuleNotFoundError: If matplotlib is missing.
    """
    judged = {name: results for name, results in found.items() if results["levels"]}
    if not judged:
        return
    plt = pyplot()
    figure, axes = plt.subplots(
        1, len(judged), figsize=(4.8 * len(judged), 3.4), squeeze=False, layout="constrained"
    )
    for panel, (name, results) in zip(axes[0], judged.items()):
        _panel(panel, f"{name}, judged by {_judges(results)}", results)
    figure.savefig(path)
    plt.close(figure)


def _panel(axes: Any, title: str, results: Mapping[str, Any]) -> None:
    levels = {label: level for label, level in results["levels"].items() if level["samples"]}
    for row, (system, colour) in enumerate(zip(results["systems"], (ORANGE, BLUE))):
        found = [level["systems"][system] for level in levels.values()]
        positions = [position + 0.16 * (row - 0.5) for position in range(len(levels))]
        ends = [[100 * end for end in one["interval"]] for one in found]
        axes.vlines(positions, *zip(*ends), color=colour)
        axes.plot(positions, [100 * o["share"] for o in found], "o", color=colour, label=system)
    labels = [f"{label}\n({level['samples']})" for label, level in levels.items()]
    axes.set_xticks(range(len(levels)), labels)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.set_ylim(-3, 103)
    axes.set_title(title)
    axes.set_xlabel(f"WER of {results['wer_of']} (samples)")
    axes.set_ylabel("success, %")
    axes.grid(axis="y", alpha=0.25)
    axes.legend()


def _section(name: str, results: Mapping[str, Any]) -> str:
    if not results["levels"]:
        return (
            f"## {name}\n\nNobody has judged yet, and the right answers are not known. "
            "`ratings` takes the raters' files."
        )
    samples = results["levels"][ALL]["samples"]
    parts = [
        f"## {name}: {samples} samples, judged by {_judges(results)}",
        _main_table(results),
        "\n".join(f"- {note}" for note in _notes(results)),
    ]
    if results["raters"]:
        parts += ["### Raters", _rater_table(results)]
    if results["agreement"]:
        parts += ["### Agreement", _agreement_table(results["agreement"])]
    return "\n\n".join(parts)


def _judges(results: Mapping[str, Any]) -> str:
    raters = results["raters"]
    if not raters:
        return "the alias match"
    return raters[0] if len(raters) == 1 else f"{len(raters)} raters"


def _main_table(results: Mapping[str, Any]) -> str:
    first, second = results["systems"]
    head = [f"WER of {results['wer_of']}", "samples"]
    head += [f"{first}, %", _INTERVAL, f"{second}, %", _INTERVAL]
    rows = [[*head, f"only {first}", f"only {second}", "p"]]
    for label, level in results["levels"].items():
        shares = [cell for one in level["systems"].values() for cell in _share(one)]
        paired = level["paired"]
        alone = [str(paired["only_first"]), str(paired["only_second"])]
        p_value = paired["p_value"]
        shown = "" if p_value is None else f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"
        rows.append([label, str(level["samples"]), *shares, *alone, shown])
    return as_markdown(rows)


def _share(found: Mapping[str, Any]) -> list[str]:
    if found["share"] is None:
        return ["", ""]
    low, high = (100 * end for end in found["interval"])
    return [f"{100 * found['share']:.1f}", f"[{low:.1f}, {high:.1f}]"]


def _notes(results: Mapping[str, Any]) -> list[str]:
    """What must be known to read the table."""
    whole = results["levels"][ALL]
    notes = [_success(results)]
    ties = {system: found["ties"] for system, found in whole["systems"].items()}
    if any(ties.values()):
        shown = ", ".join(f"{count} of {system}" for system, count in ties.items())
        notes.append(f"Ties, which count as failures: {shown}.")
    notes.append(
        "Intervals: Wilson. p: McNemar's exact test, two-sided, on the same samples; it is not "
        "corrected for the number of rows."
    )
    notes.append(
        f"The row {ALL!r} is not the rate of the test set, where the levels are not equally common."
    )
    for label, level in results["levels"].items():
        if label != ALL and level["samples"] < results["samples_wanted"]:
            notes.append(
                f"{label}: {level['samples']} of the {results['samples_wanted']} samples that "
                "were asked for."
            )
    return notes + exclusion_notes(results["excluded"])


def _success(results: Mapping[str, Any]) -> str:
    if not results["raters"]:
        return "Success: a spelling of the right answer occurs in the answer. Nobody judged it."
    if len(results["raters"]) == 1:
        return f"Success: {results['raters'][0]} says so."
    return "Success: more than half of the raters say so."


def exclusion_notes(excluded: Mapping[str, Sequence[str]]) -> list[str]:
    """Utterances that could not be drawn, counted and named."""
    return [
        f"{len(ids)} utterances are left out, {reason}: {', '.join(ids[:_NAMED])}"
        f"{', ...' if len(ids) > _NAMED else ''}."
        for reason, ids in excluded.items()
    ]


def _rater_table(results: Mapping[str, Any]) -> str:
    head = [cell for system in results["systems"] for cell in (f"{system}, %", _INTERVAL)]
    rows = [["rater", *head]]
    for name, found in results["per_rater"].items():
        rows.append([name, *(cell for one in found.values() for cell in _share(one))])
    automatic = results["automatic"]
    if not automatic:
        return as_markdown(rows)
    rows.append(["(alias match)", *(cell for one in automatic.values() for cell in _share(one))])
    agrees = ", ".join(
        f"on {one['unanimous']} of {one['items']} answers of {system}"
        for system, one in automatic.items()
    )
    return f"{as_markdown(rows)}\n\nThe alias match agrees with the raters {agrees}."


def _agreement_table(found: Mapping[str, Any]) -> str:
    statistic = found[ALL]["statistic"]
    possessive = "Cohen's" if statistic == "Cohen" else "Fleiss'"
    rows = [["answers of", "answers", "all raters agree, %", f"{possessive} kappa"]]
    listed = [*found["systems"].items(), (ALL, found[ALL])]
    for name, one in listed:
        kappa = "undefined" if one["kappa"] is None else f"{one['kappa']:.2f}"
        share = f"{100 * one['unanimous'] / one['items']:.1f}"
        rows.append([name, str(one["items"]), share, kappa])
    table = as_markdown(rows)
    if any(one["kappa"] is None for _, one in listed):
        table += "\n\nA kappa is undefined where every judgement was the same."
    return table
