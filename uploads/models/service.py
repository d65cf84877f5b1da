"""Rows about the running service itself: counters, chores, and the alerts that were sent."""

from django.db import models


class CounterIncrement(models.Model):
    """How much a counter has grown. Inserted in the transaction of what it counts, and added up later.

    Rows are only inserted, so that transactions never wait for each other's counters, and cannot deadlock on them.
    """

    name = models.CharField(max_length=64)
    labels = models.CharField(max_length=255)  # JSON: a list of values, in the order of the counter's labels
    count = models.BigIntegerField(default=1)
    total = models.FloatField(default=0)  # of a histogram: the sum of what was observed

    def __str__(self) -> str:
        return f"{self.name} {self.labels}: {self.count}"


class ChoreRecord(models.Model):
    """How a chore of housekeeping has gone so far."""

    name = models.CharField(max_length=64, primary_key=True)
    done = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    succeeded_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)  # empty, if its last run succeeded
    written_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """Something that is wrong, and whether the administrators were mailed about it."""

    code = models.CharField(max_length=96, primary_key=True)
    words = models.TextField()
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    mailed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.code
