"""What some arm lacks counts in no arm: which entries these are, and how a report names them."""

from collections.abc import Iterable, Mapping, Sequence

from fairseq_audiochat.data.record_file import Record

_NAMED = 5  # in the text; the JSON file names all


def exclusions(
    arms: Mapping[str, Mapping[str, Record]], ids: Iterable[str], needed: str, otherwise: str
) -> list[dict[str, str]]:
    """Entries that some arm lacks: ``id``, ``arm`` and ``reason``.

    Args:
        arms: By arm, its records by id.
        ids: All entries of the test set.
        needed: The field that a record has unless it says why it was ``excluded``.
        otherwise: The reason where there is no record at all.
    """
    known = list(ids)
    return [
        {"id": id, "arm": arm, "reason": records.get(id, {"excluded": otherwise})["excluded"]}
        for arm, records in arms.items()
        for id in known
        if needed not in records.get(id, {})
    ]


def exclusion_notes(excluded: Sequence[Mapping[str, str]], what: str) -> list[str]:
    """One sentence with the number of entries and the first of them; none if all count.

    Args:
        excluded: As `exclusions` gives them.
        what: What the entries are.
    """
    if not excluded:
        return []
    first = (f"{entry['id']} ({entry['arm']}: {entry['reason']})" for entry in excluded[:_NAMED])
    more = "; ..." if len(excluded) > _NAMED else ""
    count = len({entry["id"] for entry in excluded})
    return [f"{count} {what} are left out of every arm: {'; '.join(first)}{more}."]
