"""Find out in which encoding a text file is, and decode it."""

from ...errors import UnfitMedia

ENCODINGS = (
    "auto", "utf-8", "utf-16", "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254",
    "windows-1255", "windows-1256", "iso-8859-1", "iso-8859-2", "iso-8859-15", "koi8-r", "shift_jis", "euc_jp",
    "gb18030", "big5", "euc_kr",
)  # fmt: skip
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# Of the letters of a text in a western language, few have an accent. In another script nearly all seem to.
_ACCENTED_SHARE = 0.5
_UNKNOWN = "The encoding of the subtitles is not recognized. Save them as UTF-8, or name it by subtitles_encoding."


def decode(content: bytes, encoding: str = "auto") -> str:
    """The text with LF line ends. Raises UnfitMedia if it is not in this encoding, or in none that is recognized."""
    if encoding != "auto":
        try:
            text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
        except UnicodeDecodeError:
            raise UnfitMedia(f"The subtitles are not in the encoding {encoding}.") from None
    else:
        text = _recognized(content)
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _recognized(content: bytes) -> str:
    names = [name for mark, name in _MARKS if content.startswith(mark)] or ["utf-8", "windows-1252", "iso-8859-1"]
    for name in names:
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        if name.startswith("utf") or _is_western(text):
            return text
    raise UnfitMedia(_UNKNOWN)


def _is_western(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    accented = sum(each.isalpha() and not each.isascii() for each in text)
    return accented <= letters * _ACCENTED_SHARE
