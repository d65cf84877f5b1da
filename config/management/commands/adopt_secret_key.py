from typing import Any

from config.shared_key import adopt_key
from uploads.management.terminal_command import TerminalCommand


class Command(TerminalCommand):
    help = "Accept the secret key of this host as that of the installation, after the old key was lost or changed."

    def handle(self, *args: Any, **options: Any) -> None:
        adopt_key()
        self.stdout.write("Adopted. Hosts with another key do not start until they have this one.")
