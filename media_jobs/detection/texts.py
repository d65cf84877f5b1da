"""How much two texts differ that were read from pictures."""


def differences(one: str, other: str, most: int) -> int:
    """How many characters must be changed, added or left out to make one of the other; at most `most` + 1."""
    if one == other:
        return 0
    if abs(len(one) - len(other)) > most:
        return most + 1
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        before, row[0] = row[0], place
        for column, another in enumerate(other, 1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (letter != another)),
            )
        if min(row) > most:
            return most + 1
    return row[-1]
