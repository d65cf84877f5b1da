"""Prometheus counters that are stored in the database, because several processes count.

They survive a restart and are the same on every host. Housekeeping adds up their rows, so reading them costs the same
after a million jobs.
"""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import prometheus_client
from django.db import connection
from django.db.models import Sum
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from ..models.service import CounterIncrement
from ..runtime.database_connections import write

Values = dict[tuple[str, ...], tuple[int, float]]  # by labels: the count, and the sum of the observed values
_INSERT = "INSERT INTO uploads_counterincrement (name, labels, count, total) VALUES "
_AT_ONCE = 20_000
IN_MEMORY = "_in_memory"  # ends the name of a counter whose values become a part of a stored one


@dataclass(frozen=True)
class StoredCounter:
    name: str  # without _total
    help: str
    labels: Sequence[str]
    # Also counts in memory, lost when the web server ends: for events that must not cost a write. A series must be
    # counted either here or in the database: if in both, it would fall at a restart.
    in_memory: prometheus_client.Counter | None = None

    def one(self, *labels: str) -> CounterIncrement:
        """An increment of one, for `count`."""
        return CounterIncrement(name=self.name, labels=json.dumps(labels))

    def count_here(self, *labels: str) -> None:
        """Count in memory only."""
        assert self.in_memory is not None
        self.in_memory.labels(*labels).inc()

    def family(self, values: Values, counted: Mapping[str, Metric]) -> Metric:
        """`counted`: the metrics that are counted in memory, by name."""
        family = CounterMetricFamily(self.name, self.help, labels=self.labels)
        counts = Counter({labels: float(count) for labels, (count, _) in values.items()})
        counts.update(self._counted_here(counted))
        for labels, count in sorted(counts.items()):
            family.add_metric(labels, count)
        return family

    def _counted_here(self, counted: Mapping[str, Metric]) -> dict[tuple[str, ...], float]:
        found = counted.get(self.name + IN_MEMORY)
        samples = [sample for sample in found.samples if sample.name.endswith("_total")] if found else []
        return {tuple(sample.labels[label] for label in self.labels): sample.value for sample in samples}


@dataclass(frozen=True)
class StoredHistogram:
    name: str
    help: str
    labels: Sequence[str]
    buckets: Sequence[float]  # upper bounds, without infinity

    def one(self, value: float, *labels: str) -> CounterIncrement:
        """One observation, for `count`."""
        bucket = str(bisect_left(self.buckets, value))
        return CounterIncrement(name=self.name, labels=json.dumps([*labels, bucket]), total=value)

    def family(self, values: Values, counted: Mapping[str, Metric]) -> Metric:
        family = HistogramMetricFamily(self.name, self.help, labels=self.labels)
        bounds = [*(str(float(bound)) for bound in self.buckets), "+Inf"]
        found: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * len(bounds))
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for (*labels, bucket), (count, total) in values.items():
            found[tuple(labels)][min(int(bucket), len(bounds) - 1)] += count
            sums[tuple(labels)] += total
        for series, counts in sorted(found.items()):
            so_far = [sum(counts[: index + 1]) for index in range(len(counts))]
            family.add_metric(series, list(zip(bounds, so_far, strict=True)), sums[series])
        return family


def count(*increments: CounterIncrement) -> None:
    """Insert increments with one statement, in the transaction of the event: both are written, or neither."""
    # SQL by hand: the ORM takes three times as long, in transactions that users wait for.
    values: list[tuple[str | int | float, ...]] = [
        (each.name, each.labels, each.count, each.total) for each in increments
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT + ", ".join(["(%s, %s, %s, %s)"] * len(values)), list(chain.from_iterable(values)))


def stored_families(
    metrics: Iterable[StoredCounter | StoredHistogram], counted: Mapping[str, Metric]
) -> Iterator[Metric]:
    """All stored metrics, read with one query, with what is counted in memory of them."""
    values = _read()
    for metric in metrics:
        yield metric.family(values[metric.name], counted)


def _read() -> dict[str, Values]:
    sums = CounterIncrement.objects.order_by().values_list("name", "labels").annotate(Sum("count"), Sum("total"))
    values: dict[str, Values] = defaultdict(dict)
    for name, labels, number, total in sums:
        values[name][tuple(json.loads(labels))] = (number, total)
    return values


def add_up() -> int:
    """Replace the increments of each series by one row. Safe to run twice at once: rows are locked."""
    with write():
        rows = list(CounterIncrement.objects.select_for_update().order_by("pk")[:_AT_ONCE])
        sums: dict[tuple[str, str], CounterIncrement] = {}
        for row in rows:
            into = sums.setdefault(
                (row.name, row.labels), CounterIncrement(name=row.name, labels=row.labels, count=0)
            )
            into.count += row.count
            into.total += row.total
        if len(sums) < len(rows):
            # The rows are locked: no other process can have changed or deleted them.
            CounterIncrement.objects.filter(pk__in=[row.pk for row in rows]).delete()
            CounterIncrement.objects.bulk_create(sums.values())
    return 0  # too frequent for the log
