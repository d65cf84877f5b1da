"""What became of the files in each disaster, as a table."""

from dataclasses import dataclass


@dataclass
class Outcome:
    """A row of the table."""

    refused: str = "-"
    files: int = 0
    deleted: int = 0
    after: str = ""
    verdict: str = "holds"


def as_table(outcomes: dict[str, Outcome]) -> str:
    rows = [("disaster", "refused to start", "files before", "bytes deleted", "after the way out", "verdict")]
    rows += [
        (name.partition(": ")[2], each.refused, str(each.files), str(each.deleted), each.after, each.verdict)
        for name, each in outcomes.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)] + [0]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
