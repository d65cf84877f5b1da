"""What users felt of each fault, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.drill.host_clients import Sent

Span = tuple[float, float, str]  # when it began and ended, and what it was


@dataclass(frozen=True)
class Felt:
    fault: str
    began: float
    ended: float
    first_silent: float  # seconds without a good answer of the first web server, and of the second
    second_silent: float


def as_table(felt: Sequence[Felt], sent: Sequence[Sent], jobs: Sequence[Span]) -> str:
    """An upload or a job counts for each fault that happened while it went on."""
    uploads = [(each.began, each.ended, each.kind) for each in sent]
    lines = [f"{'':36} {'web 1 silent':>12} {'web 2 silent':>12} {'slowest upload':>18} {'slowest job':>24}"]
    lines += [
        f"{each.fault:36} {each.first_silent:10.1f} s {each.second_silent:10.1f} s"
        f" {_slowest(each, uploads):>18} {_slowest(each, jobs):>24}"
        for each in felt
    ]
    return "\n".join(lines)


def _slowest(felt: Felt, spans: Sequence[Span]) -> str:
    """Of those that went on meanwhile, with their number."""
    met = [(ended - began, what) for began, ended, what in spans if began < felt.ended and ended > felt.began]
    if not met:
        return "none"
    seconds, what = max(met)
    return f"{what} {seconds:.1f} s of {len(met)}"
