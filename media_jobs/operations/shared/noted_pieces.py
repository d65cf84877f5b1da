"""Pieces of long work on a content that are finished: in the notes about the content they outlive a killed worker.

Of work with more than a thousand pieces, the first notes are lost: another attempt begins anew.
"""

from typing import Any

from ..base import Notes

_IN_BLOCK = 60  # pieces of one note, which is written anew with each of them


class NotedPieces:
    """Pieces of JSON in their order. `key` says what they depend on besides the content, operation and version."""

    def __init__(self, notes: Notes, key: str) -> None:
        self._notes, self._key = notes, key
        self._block, self._pieces = 0, list[Any]()

    def load(self) -> list[Any]:
        """The pieces that were kept earlier. Further ones are added after them."""
        found: list[Any] = []
        while (note := self._notes.get(self._name(self._block))) and (pieces := note.get("pieces")):
            found += pieces
            if len(pieces) < _IN_BLOCK:
                self._pieces = pieces
                break
            self._block += 1
        return found

    def add(self, piece: Any) -> None:
        self._pieces = [*self._pieces, piece]
        self._notes[self._name(self._block)] = {"pieces": self._pieces}
        if len(self._pieces) == _IN_BLOCK:
            self._block, self._pieces = self._block + 1, []

    def clear(self) -> None:
        """Forget them: the work is done."""
        for block in range(self._block + 1):
            self._notes[self._name(block)] = {}
        self._block, self._pieces = 0, []

    def _name(self, block: int) -> str:
        return f"{self._key} block {block}"
