"""What a fault acts on: the installation, its clients, and the mails that it sends."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.drill.soak.load import Load
from tests.drill.stage import Broken
from tests.support.mail_server import MailServer
from tests.support.serve_process import Serve

SOON = 90.0  # seconds until all runs again


@dataclass
class Scene:
    serve: Serve
    load: Load
    mails: MailServer
    has_own_disk: bool
    ended: dict[str, float] = field(
        default_factory=dict
    )  # when the cause of an alert was, on the clock of monotonic()

    def wait_for(self, happened: Callable[[], Any], what: str, patience: float = SOON) -> Any:
        deadline = time.monotonic() + patience
        while not (found := happened()):
            if time.monotonic() > deadline:
                raise Broken(f"waited {patience:.0f} s in vain for {what}")
            time.sleep(0.2)
        return found

    def warnings(self) -> str:
        answer = self.load.ask("GET", "/readyz")
        return answer.body.decode() if answer is not None else ""

    def is_mailed(self, code: str, state: str) -> bool:
        """By the subject of a mail: `new: disk_nearly_full, lane_dead, resolved: …`."""
        subjects = [str(mail["Subject"]).replace("\n", "") for mail in list(self.mails.mails)]
        return any(code in subject.partition(f"{state}: ")[2].partition(": ")[0] for subject in subjects)
