"""The sidecars of an S3 store: objects `PREFIX/meta/NAME.json`."""

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from ..base import Sidecars
from .bucket import META, Bucket

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectTypeDef

_SUFFIX = ".json"


class S3Sidecars(Sidecars):
    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def write(self, name: str, content: bytes) -> None:
        self._bucket.put(_place(name), content)

    def read(self, name: str) -> bytes:
        return self._bucket.get(_place(name))

    def delete(self, name: str) -> None:
        self._bucket.delete(_place(name))

    def of(self, keys: Collection[str]) -> set[str]:
        return set(self._names(self._bucket.list_some(META, [f"{key}." for key in keys])))

    def names(self) -> Iterator[str]:
        return self._names(self._bucket.list(META))

    def _names(self, objects: Iterable["ObjectTypeDef"]) -> Iterator[str]:
        for found in objects:
            if found["Key"].endswith(_SUFFIX):
                yield found["Key"].removeprefix(self._bucket.object(META)).removesuffix(_SUFFIX)


def _place(name: str) -> str:
    return f"{META}{name}{_SUFFIX}"
