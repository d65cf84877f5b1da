"""Counters in the database, used by several threads at once in a server's Django."""

import threading

from django.db import connection

from uploads.monitoring.counters import StoredCounter, add_up, count


def count_in_threads() -> None:
    events = StoredCounter("events", "", ["kind"])

    def act() -> None:
        for _ in range(15):
            count(events.one("a"), events.one("b"))
            add_up()
        connection.close()

    threads = [threading.Thread(target=act) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
