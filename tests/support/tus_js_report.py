"""What driver.mjs said of uploads by tus-js-client."""

from collections.abc import Iterable
from typing import Any


class Said:
    def __init__(self, events: Iterable[dict[str, Any]]) -> None:
        self._events = list(events)

    def urls(self, outcome: str = "succeeded") -> dict[str, str]:
        """Where the uploads are that came to this, by name."""
        return {event["name"]: event["url"] for event in self._events if event["event"] == outcome}

    def url(self, outcome: str = "succeeded") -> str:
        (found,) = self.urls(outcome).values()
        return found

    @property
    def offset(self) -> int:
        """Where the only upload began."""
        (found,) = [event["offset"] for event in self._events if event["event"] == "begun"]
        return int(found)

    @property
    def answers(self) -> list[tuple[str, int]]:
        return [(event["method"], event["status"]) for event in self._events if event["event"] == "answer"]
