"""Tables in Markdown whose columns line up in plain text too."""

from collections.abc import Sequence


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table: the first row is its head, the first column stands to the left, figures right.

    Bars inside cells are escaped.
    """
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    head, *body = [
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |"
        for row in cells
    ]
    rule = "|-" + "-|-".join("-" * width for width in widths) + "-|"
    return "\n".join([head, rule, *body])
