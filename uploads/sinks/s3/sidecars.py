"""The sidecars of an S3 store: objects `PREFIX/meta/NAME.json`."""

from collections.abc import Collection, Iterator

from ..base import Sidecars, sidecar_is_of
from .bucket import META, Bucket

_SUFFIX = ".json"
_FEW = 8  # up to so many keys are looked up one by one


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
        if len(keys) > _FEW:
            return {name for name in self.names() if sidecar_is_of(name, keys)}
        return {name for key in keys for name in self._beginning(f"{key}.")}

    def names(self) -> Iterator[str]:
        return self._beginning("")

    def _beginning(self, name: str) -> Iterator[str]:
        for found in self._bucket.list(META + name):
            if found["Key"].endswith(_SUFFIX):
                yield found["Key"].removeprefix(self._bucket.object(META)).removesuffix(_SUFFIX)


def _place(name: str) -> str:
    return f"{META}{name}{_SUFFIX}"
