"""ID3v2 tags, which may stand before sound of any format."""


def tags_size(head: bytes) -> int:
    """How many bytes the tags at the beginning take: several may follow each other."""
    at = 0
    for _ in range(8):
        at += _id3_size(head[at : at + 10])
    return at


def _id3_size(header: bytes) -> int:
    if len(header) < 10 or not header.startswith(b"ID3") or any(byte & 0x80 for byte in header[6:]):
        return 0
    a, b, c, d = header[6:]  # seven bits each
    return 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if header[5] & 0x10 else 0)
