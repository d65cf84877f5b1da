"""The parameter `metadata` of a request that begins an upload: the JSON object that the new file is to have.

It is the same at every entrance: in the query string, in a form also as a field before the file, and in the header
Upload-Metadata. (After the file, the form is refused: it would come too late.)
"""

from django.http import QueryDict

from ..text.client_metadata import Metadata, read_metadata
from . import tus_headers

METADATA = "metadata"  # the parameter


def file_metadata(*sources: QueryDict, header: str = "") -> Metadata | None:
    """`header`: Upload-Metadata."""
    texts = [text for source in sources for text in source.getlist(METADATA)]
    return read_metadata(*texts, tus_headers.metadata_in(header))
