"""gunicorn's configuration: a thread for each request in progress, in one process or several that share the port.

One process is enough for large uploads: hashing, reading and writing release the interpreter lock (GIL). More of them
(MILLRACE_WEB_PROCESSES) answer more small requests at a time. They inherit one listening socket: those that are idle
accept, and connections that wait outlive a process that is killed.
"""

import ctypes
import gc
import os
import resource
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

from config.addresses import with_port
from config.processes import garbage_collector, instance_lock, parent_death, shared_folder
from config.web_server.accept_balance import Balance, Counts


def raise_open_files_limit() -> int:
    """Raise the soft limit of open files to the hard limit, and return it. Shells often set it to 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:  # not on Linux: the system has another limit that it does not report here
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def max_connections(threads: int, files: int) -> int:
    """How many connections may be open at a time.

    A connection without a thread costs a file descriptor and a few KB. Without free descriptors the process would
    fail, and an upload uses five: its socket, its file and three of the database.
    """
    return min(8 * threads, max(2 * threads, files - 5 * threads))


def share_heaps() -> None:
    """Let all threads allocate memory from two heaps of glibc. Other C libraries have no such setting.

    By default glibc gives a process up to eight heaps for each core, and each heap keeps the most memory that its
    threads ever needed at once. Measured with 64 threads on two cores: 123 MB instead of 155 MB.
    """
    if (set_option := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        set_option(_M_ARENA_MAX, 2)


wsgi_app = "config.wsgi:application"
worker_class = "config.web_server.gunicorn_worker.Worker"
workers = settings.WEB_PROCESSES
threads = settings.THREADS
# The worker's heartbeat is a file that the poller thread touches. On a disk that is busy with uploads this took up to
# seven seconds, during which no connection was served. So the file is in memory.
worker_tmp_dir = (memory := shared_folder.memory()) and str(memory)
worker_connections = max_connections(settings.THREADS, raise_open_files_limit())
bind = with_port(settings.HOST, settings.PORT)
forwarded_allow_ips = ",".join(settings.TRUSTED_PROXIES) or "127.0.0.1"
forwarder_headers = ""  # by default gunicorn believes SCRIPT_NAME and PATH_INFO from any client on this machine
graceful_timeout = 30  # how long a stop waits for uploads in progress
keepalive = 15
accesslog = None  # config.monitoring.request_log writes it, without the secrets in paths
loglevel = "warning"
control_socket_disable = True

# Seconds after which a computing thread hands the interpreter lock to a waiting one. A short request needs the lock
# several times, and with Python's default of 5 ms it waited 5 ms each time for every computing thread.
_SWITCH_INTERVAL = 0.001
_M_ARENA_MAX = -8  # of glibc's malloc.h
_counts: Counts | None = None  # of several web processes


def on_starting(server: object) -> None:
    garbage_collector.enable()  # the settings disabled it; here no apps are loaded that would enable it again
    parent_death.end_with_parent()
    instance_lock.hold_shared()


def when_ready(server: object) -> None:
    global _counts
    if settings.WEB_PROCESSES > 1:
        shared_folder.make()
        _counts = Counts(settings.WEB_PROCESSES)


def pre_fork(server: object, worker: Any) -> None:
    if _counts is not None:
        worker.balance = Balance(_counts, _counts.take_slot())


def child_exit(server: object, worker: Any) -> None:
    if _counts is not None:
        # Not before: prometheus_client decides at its import whether several processes count.
        from config.monitoring import process_metrics

        process_metrics.forget(worker.pid)
        _counts.free_slot(worker.balance.slot)


def on_exit(server: object) -> None:
    shared_folder.remove()


def post_fork(server: object, worker: Any) -> None:
    share_heaps()  # before threads exist, which would get heaps of their own
    garbage_collector.disable()
    parent_death.end_with_parent(worker.ppid)


def post_worker_init(worker: Any) -> None:
    sys.setswitchinterval(_SWITCH_INTERVAL)
    # Exclude all loaded modules from garbage collection: each full collection stopped all threads for 0.1 s.
    gc.collect()
    garbage_collector.enable()
