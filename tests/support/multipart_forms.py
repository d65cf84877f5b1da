"""Forms of all kinds, made by hypothesis: their boundaries, their parts, where to cut and how to damage them."""

from dataclasses import dataclass

from hypothesis import strategies as st


@dataclass
class Part:
    name: str
    content: bytes
    filename: str | None = None

    def head(self) -> bytes:
        file = "" if self.filename is None else f'; filename="{_escaped(self.filename)}"\r\nContent-Type: video/mp4'
        return f'Content-Disposition: form-data; name="{_escaped(self.name)}"{file}\r\n\r\n'.encode()


def _escaped(name: str) -> str:
    """As browsers write it: HTML's rules for multipart/form-data."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def form_of(parts: list[Part], boundary: bytes, preamble: bytes = b"", epilogue: bytes = b"\r\n") -> bytes:
    body = b"".join(b"--" + boundary + b"\r\n" + part.head() + part.content + b"\r\n" for part in parts)
    return preamble + body + b"--" + boundary + b"--" + epilogue


# What RFC 2046 allows in a boundary; a space not at its end.
_BCHARS = "0123456789abcXYZ'()+_,-./:=?"
boundaries = st.builds(
    lambda start, end: (start + end).encode(),
    st.text(_BCHARS + " ", max_size=69),
    st.text(_BCHARS, min_size=1, max_size=1),
) | st.sampled_from([b"-", b"--", b"----", b"a", b"aa", b"----WebKitFormBoundary7MA4YWxkTrZu0gW", b"-" * 70])


def contents(boundary: bytes) -> st.SearchStrategy[bytes]:
    """Bytes made of what could be taken for a boundary, and is none."""
    look_alikes = [
        b"\r", b"\n", b"\r\n", b"\r\r\n", b"\n\r", b"-", b"--", b"\r\n-", b"\r\n--", b"\r\n--" + boundary[:-1],
        b"\r--" + boundary[:-1], boundary, boundary[1:], b"-" + boundary, b"\r\n" + boundary, b"\r\n\r\n", b"\0", b"film",  # noqa: E501
    ]  # fmt: skip
    made = st.lists(st.sampled_from(look_alikes) | st.binary(max_size=20), max_size=12).map(b"".join)
    # A form whose content holds its delimiter is no form of these parts.
    return made.filter(lambda content: b"--" + boundary not in b"\r\n" + content + b"\r\n")


names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters='\\%;"'), min_size=1, max_size=12
)
file_names = st.builds("{}.mp4".format, st.text("abcXYZ019 _-üß映🎬()[]'!,", min_size=1, max_size=20)).filter(
    lambda name: name == name.strip()
)


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, list[Part]]:
    boundary = draw(boundaries)
    content = contents(boundary)
    fields = st.lists(
        st.builds(Part, names, content | st.just(b"") | st.text(max_size=20).map(str.encode)), max_size=5
    )
    parts = [part for part in draw(fields) if b"--" + boundary not in b"\r\n" + part.content + b"\r\n"]
    if draw(st.booleans()):
        file = Part(draw(names), draw(content.filter(bool)), draw(file_names))
        parts.insert(draw(st.integers(0, len(parts))), file)
    if draw(st.booleans()):  # a file field that nobody filled in
        parts.insert(draw(st.integers(0, len(parts))), Part(draw(names), b"", ""))
    return boundary, [part for part in parts if b"--" + boundary not in part.head()]


places = st.lists(st.integers(0, 10**6), max_size=20)
mutations = st.lists(
    st.tuples(
        st.integers(0, 10**6),  # where
        st.integers(0, 6),  # how many bytes go
        st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"-", b"--", b'"', b";", b":", b"=", b"\\", b"%22", b"\0", b"\xff", b" "])  # noqa: E501
        | st.binary(max_size=4),  # and what comes
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip
