"""How much memory an ingest takes, in a process of its own. Tests run these by Server.call."""

import resource

from django.core.management import call_command


def growth_by_ingest(dsn: str, query: str) -> int:
    """Bytes by which the largest memory of this process grows while it ingests rows."""
    call_command("ingest", "--owner", "alice", "--from-table", dsn, "--query", f"{query} WHERE id = 1")  # imports
    before = _peak()
    call_command("ingest", "--owner", "alice", "--from-table", dsn, "--query", f"{query} WHERE id = 2")
    return _peak() - before


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
