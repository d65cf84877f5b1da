"""gunicorn's configuration: one process, a thread for every request on its way.

One process is enough: hashing, reading and writing let go of the interpreter's lock.
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
from config.processes import garbage_collector, instance_lock, parent_death


def allow_open_files() -> int:
    """As many as we may have: a shell often gives 1024 and allows a thousand times that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:  # not on Linux, and not to be taken at its word
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def places(threads: int, files: int) -> int:
    """How many may be connected. Those without a thread cost a descriptor and a few KB; running out of descriptors
    would cost the process. An upload has five: its socket, its file and its database's three."""
    return min(8 * threads, max(2 * threads, files - 5 * threads))


def share_heaps() -> None:
    """Let all threads allocate from two heaps of glibc. Other C libraries have no such setting.

    By default glibc gives the threads of a process eight heaps for each core, and each keeps the most memory that its
    threads have needed at the same moment. Measured with 64 threads on two cores: 155 MB instead of 123 MB.
    """
    if (set_option := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        set_option(_M_ARENA_MAX, 2)


wsgi_app = "config.wsgi:application"
worker_class = "config.web_server.gunicorn_worker.Worker"
workers = 1
threads = settings.THREADS
# The worker's sign of life is a file that the thread for all connections touches. On a disk that is busy with uploads
# it waited for that, and everybody with it, up to seven seconds.
_MEMORY = "/dev/shm"  # noqa: S108  # gunicorn makes a file of its own there
worker_tmp_dir = _MEMORY if os.access(_MEMORY, os.W_OK) else None
worker_connections = places(settings.THREADS, allow_open_files())
bind = with_port(settings.HOST, settings.PORT)
forwarded_allow_ips = ",".join(settings.TRUSTED_PROXIES) or "127.0.0.1"
forwarder_headers = ""  # gunicorn would take SCRIPT_NAME and PATH_INFO from anybody on this machine
# How long a stop waits for uploads on their way.
graceful_timeout = 30
keepalive = 15
accesslog = None  # config.monitoring.request_log knows which paths are secrets
loglevel = "warning"
control_socket_disable = True

# Seconds that a thread which computes keeps the interpreter from others. Python's 5 ms are five for each turn that a
# short request takes, and it takes several, beside every thread that computes.
_SWITCH_INTERVAL = 0.001
_M_ARENA_MAX = -8  # of glibc's malloc.h


def on_starting(server: object) -> None:
    garbage_collector.end()  # of the settings; the apps are loaded by the worker
    parent_death.hold()
    instance_lock.hold_shared()


def post_fork(server: object, worker: Any) -> None:
    share_heaps()  # before there are threads, which would have heaps of their own
    garbage_collector.begin()
    parent_death.hold(worker.ppid)


def post_worker_init(worker: Any) -> None:
    sys.setswitchinterval(_SWITCH_INTERVAL)
    # To look through what was loaded for garbage, every so often, held all threads for a tenth of a second.
    gc.collect()
    garbage_collector.end()
