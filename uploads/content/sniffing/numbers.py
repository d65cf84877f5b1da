"""Reading numbers; beyond the end there are zeros, so nothing here raises."""


def be(head: bytes, at: int, size: int) -> int:
    return int.from_bytes(head[at : at + size])


def le(head: bytes, at: int, size: int) -> int:
    return int.from_bytes(head[at : at + size], "little")
