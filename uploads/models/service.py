"""Tables about the running service: counters, chores, snapshots, and the alerts that were sent."""

from django.db import models


class CounterIncrement(models.Model):
    """An increment of a counter. Inserted in the transaction of the event, and added up later.

    Rows are only inserted, so that transactions do not wait for each other's counters or deadlock on them.
    """

    name = models.CharField(max_length=64)
    labels = models.CharField(max_length=255)  # JSON: a list of values, in the order of the counter's labels
    count = models.BigIntegerField(default=1)
    total = models.FloatField(default=0)  # of a histogram: the sum of the observed values

    def __str__(self) -> str:
        return f"{self.name} {self.labels}: {self.count}"


class HousekeepingLeader(models.Model):
    """The housekeeping process that runs the chores of the installation. One row: config/processes/leadership.py."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    token = models.UUIDField()  # of the process
    home = models.CharField(max_length=128)  # identifies the lock file that the process holds; "" if it holds none
    host = models.CharField(max_length=255)
    until = models.DateTimeField()  # by the database's clock

    def __str__(self) -> str:
        return self.host


class ChoreRecord(models.Model):
    """The results of a housekeeping chore so far."""

    name = models.CharField(max_length=330, primary_key=True)  # the chore, and the host if each host runs it
    chore = models.CharField(max_length=64)
    host = models.CharField(max_length=255, blank=True)  # empty for a chore of the whole installation
    done = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    succeeded_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)  # empty if its last run succeeded
    written_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class NightlySnapshot(models.Model):
    """When the last nightly snapshot was taken on a host's own disk: for the other hosts."""

    home = models.CharField(max_length=255, primary_key=True)  # HOST:FOLDER
    taken_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.home}: {self.taken_at:%Y-%m-%d %H:%M}"


class SecretKeyUse(models.Model):
    """Which secret key the hosts of this database use, as a fingerprint. One row: config/shared_key.py."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    fingerprint = models.CharField(max_length=64)
    home = models.CharField(max_length=255)  # HOST:FOLDER that brought this key

    def __str__(self) -> str:
        return self.home


class Alert(models.Model):
    """A problem, and whether the administrators were e-mailed about it."""

    code = models.CharField(max_length=96, primary_key=True)
    words = models.TextField()
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    mailed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.code
