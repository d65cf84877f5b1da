"""Django's settings. Values that differ between installations come from config.env."""

import os
from pathlib import Path
from typing import Any, get_args

from django.urls import reverse_lazy

from config import env, storages
from config import setting_parsers as parse
from config.admin_site import UNFOLD as UNFOLD
from config.backends import fallback_cache, postgresql_pool
from config.http.api_settings import API_FRAMEWORK
from config.http.api_settings import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from config.http.cors import CORS_ALLOW_HEADERS as CORS_ALLOW_HEADERS
from config.http.cors import CORS_EXPOSE_HEADERS as CORS_EXPOSE_HEADERS
from config.http.cors import CORS_URLS_REGEX as CORS_URLS_REGEX
from config.monitoring.logs import LOGGING as LOGGING
from config.processes import garbage_collector
from config.secret_key import kept_key
from media_jobs.conf import JobSettings
from media_jobs.ffmpeg.sandbox import Level
from media_jobs.understanding import extras
from uploads.conf import EVERY_KIND, UNLIMITED, Downloads, Limits
from uploads.content.minimum_speed import Pace
from uploads.content.sniffing import parse_accept
from uploads.content.virus_scan import Clamd, OnInfection

garbage_collector.disable()

os.umask(0o077)  # in every process: other accounts cannot read the files that it makes
BASE_DIR = env.ROOT
env.read_file()
HOME = env.read("HOME", BASE_DIR / "var", lambda raw: Path(raw).expanduser().resolve())


SECRET_KEY = env.read("SECRET_KEY", "", str) or kept_key(HOME / "secret_key")
DEBUG = env.read("DEBUG", False, parse.switch)
HOST = env.read("HOST", "127.0.0.1", parse.host)
PORT = env.read("PORT", 8000, parse.number(1, 65535))
WEB_PROCESSES = env.read("WEB_PROCESSES", 1, parse.number(1, 32))


def _share(limit: int, least: int = 1) -> int:
    """What each web process has of a limit of the web server."""
    return max(least, -(-limit // WEB_PROCESSES))


# Of each web process.
THREADS = _share(env.read("THREADS", 512, parse.number(2, 10_000)), least=2)
_connections: int | None = env.read("CONNECTIONS_PER_ADDRESS", None, parse.number(1))
CONNECTIONS_PER_ADDRESS = _share(_connections) if _connections else None
PASSWORDS_AT_ONCE = _share(os.cpu_count() or 1)
PUBLIC_URL = env.read("PUBLIC_URL", "", parse.site)
TRUSTED_PROXIES: list[str] = env.read("TRUSTED_PROXIES", [], parse.networks)
ADMIN_PASSWORD = env.read("ADMIN_PASSWORD", "", str)
_CORS_ORIGINS: list[str] = env.read("CORS_ORIGINS", [], parse.origins)
CORS_ALLOW_ALL_ORIGINS = _CORS_ORIGINS == ["*"]
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else _CORS_ORIGINS
ALLOWED_HOSTS = env.read("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], parse.words)

if PUBLIC_URL:
    CSRF_TRUSTED_ORIGINS = [parse.origin_of(PUBLIC_URL)]
    ALLOWED_HOSTS = [*ALLOWED_HOSTS, parse.host_of(PUBLIC_URL)]
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    USE_X_FORWARDED_HOST = True

_MIN_FREE = env.read("MIN_FREE", 1024**3, parse.size)
_CLAMD: str | tuple[str, int] | None = env.read("CLAMD", None, parse.socket_address)
_clamd_options: dict[str, Any] = {
    "action": env.read("CLAMD_ACTION", OnInfection.REJECT, parse.one_of(*OnInfection)),
    "timeout": env.read("CLAMD_TIMEOUT", 150.0, parse.positive_seconds),
}
_chunk_size = parse.between(parse.size, 64 * 1024, 8 * 1024**2, "adaptive, or 64KiB to 8MiB")
_DIRECT_UPLOADS = env.read("DIRECT_UPLOADS", False, parse.switch)
UPLOADS = Limits(
    media_root=HOME / "media",
    max_file_size=env.read("MAX_FILE_SIZE", 10 * 1024**3, parse.size_or_none(UNLIMITED)),
    accept=env.read("ACCEPT", EVERY_KIND, parse_accept),
    quota=env.read("QUOTA", None, parse.optional(parse.size)),
    min_free=_MIN_FREE,
    warn_free=env.read("WARN_FREE", 5 * _MIN_FREE, parse.size),
    ballast=env.read("BALLAST", 64 * 1024**2, parse.size),
    max_uploads_per_user=env.read("MAX_UPLOADS_PER_USER", 32, parse.number(1)),
    chunk_size=env.read("CHUNK_SIZE", None, parse.optional(_chunk_size, "adaptive")),
    buffer_memory=_share(env.read("BUFFER_MEMORY", 64 * 1024**2, parse.size)),
    idle_timeout=env.read("UPLOAD_IDLE_TIMEOUT", 60.0, parse.positive_seconds),
    progress_interval=env.read("PROGRESS_INTERVAL", 0.5, parse.between(parse.seconds, 0.1, 2, "100ms to 2s")),
    upload_expiry=env.read("UPLOAD_EXPIRY", 7 * 86400.0, parse.positive_seconds),
    pace=Pace(
        timeout=env.read("UPLOAD_TIMEOUT", None, parse.optional(parse.seconds)),
        min_rate=env.read("MIN_RATE", None, parse.optional(parse.size)),
    ),
    clamd=Clamd(_CLAMD, **_clamd_options) if _CLAMD else None,
    quarantine_kept=env.read("QUARANTINE_KEPT", 30 * 86400.0, parse.positive_seconds),
    accel_prefix=env.read("ACCEL_PREFIX", "", str),
    downloads=env.read("DOWNLOADS", "proxy", parse.one_of(*get_args(Downloads))),
    download_expiry=env.read("DOWNLOAD_EXPIRY", 3600.0, parse.between(parse.seconds, 1, 7 * 86400, "1s to 7d")),
    storage_public_url=env.read("STORAGE_PUBLIC_URL", "", parse.site),
    public_url=PUBLIC_URL,
    direct_uploads=_DIRECT_UPLOADS,
    media_group=env.read("MEDIA_GROUP", None, parse.group),
    private=tuple(
        HOME / name for name in ("work", "inputs", "broker", "static", "snapshots", "run", "ballast", "secret_key")
    ),
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "millrace": storages.with_cdn(
        env.read("STORAGE", storages.LOCAL, storages.parse),
        url=env.read("CDN_URL", "", parse.site),
        key_id=env.read("CDN_KEY_ID", "", str),
        key=env.read("CDN_KEY", "", parse.text_of_file),
    ),
    **env.read("OTHER_STORAGE", storages.NO_OTHERS, storages.parse_others),
}
# A folder of our own in the one that is given: housekeeping removes what it does not know from `work` and `inputs`.
_SCRATCH = env.read("SCRATCH", HOME, lambda raw: Path(raw).expanduser().resolve() / "millrace")
_NINETY_DAYS: float | None = 90 * 86400.0
JOBS = JobSettings(
    work_root=_SCRATCH / "work",
    scratch_size=env.read("SCRATCH_SIZE", None, parse.optional(parse.size, "auto")),
    lease=env.read("LEASE", 30.0, parse.positive_seconds),
    attempts=env.read("ATTEMPTS", 3, parse.number(1)),
    timeout=env.read("JOB_TIMEOUT", 24 * 3600.0, parse.positive_seconds),
    stall_timeout=env.read("STALL_TIMEOUT", 120.0, parse.positive_seconds),
    ffmpeg=env.read("FFMPEG", "wheel", str),
    sandbox=env.read("SANDBOX", "on", parse.one_of(*get_args(Level))),
    threads=env.read("JOB_THREADS", min(os.cpu_count() or 1, 8), parse.number(1)),
    kept=env.read("JOBS_KEPT", _NINETY_DAYS, parse.optional(parse.positive_seconds)),
    split_after=env.read("SPLIT_AFTER", 120.0, parse.seconds),
    parts_kept=env.read("PARTS_KEPT", 86400.0, parse.seconds),
    parts_size=env.read("PARTS_SIZE", 10 * 1000**3, parse.size),
    whisper_model=env.read("WHISPER_MODEL", "", str),
    detector_models=env.read("DETECTOR_MODELS", "", str),
    share_results=env.read("SHARE_RESULTS", False, parse.switch),
    waiting_requests=_share(64),
)
SNAPSHOTS = HOME / "snapshots"
SNAPSHOTS_KEPT = env.read("SNAPSHOTS_KEPT", 7, parse.number(0))
SLOTS = {
    "quick": env.read("SLOTS_QUICK", 1, parse.number(0)),
    "bulk": env.read("SLOTS_BULK", 1, parse.number(0)),
    "heavy": env.read("SLOTS_HEAVY", 1, parse.number(0)),
    "inference": env.read("SLOTS_INFERENCE", 1 if extras.runs_models() else 0, parse.number(0)),
}
ALERT_EMAIL: list[str] = env.read("ALERT_EMAIL", [], parse.addresses)
TIME_ZONE = env.read("TIME_ZONE", "UTC", parse.time_zone)
_THROTTLE_RATES: dict[str, str | None] = {
    "anon": env.read("THROTTLE_ANON", None, parse.rate),
    "user": env.read("THROTTLE_USER", None, parse.rate),
}
env.refuse_unknown()

DATABASES = {"default": env.database(f"sqlite:///{HOME / 'millrace.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["ENGINE"] = "config.backends.sqlite3"
    # IMMEDIATE and WAL: without them 18 % of writes failed as locked while web server and workers wrote together.
    # synchronous=FULL: a confirmed upload must survive a power cut. It costs one fdatasync for each transaction.
    # temp_store=MEMORY: on a full disk, sorting a list must not fail.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;",
    }
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # By default PostgreSQL allows a hundred connections, and Millrace has more threads. Those of all web processes
    # share these 40.
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = postgresql_pool.options(_share(40, least=8))
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # the database may have restarted
CACHES = {"default": fallback_cache.configured(env.cache("locmemcache://"), processes=WEB_PROCESSES)}
BROKER_URL = env.text("BROKER_URL", "filesystem://localhost")
_EMAIL = env.email("smtp://localhost:25")
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _EMAIL["EMAIL_BACKEND"], _EMAIL["EMAIL_HOST"], _EMAIL["EMAIL_PORT"] or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _EMAIL["EMAIL_HOST_USER"] or "", _EMAIL["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _EMAIL.get("EMAIL_USE_TLS", False), _EMAIL.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10  # of each step of sending a mail
DEFAULT_FROM_EMAIL = next((name for name in (EMAIL_HOST_USER, *ALERT_EMAIL) if "@" in name), "millrace@localhost")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "corsheaders",
    "django_filters",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "uploads",
    "media_jobs",
    "config",
    "django.contrib.staticfiles",  # after config, whose runserver takes the place of its own
]
MIDDLEWARE = [
    "config.monitoring.request_metrics.count_answers",
    "config.http.middleware.client_address",
    "config.http.middleware.known_client",
    "config.http.middleware.resumable",
    "config.monitoring.request_log.log_requests",
    "django.middleware.security.SecurityMiddleware",
    "config.http.middleware.content_policy",
    "corsheaders.middleware.CorsMiddleware",  # before all that may refuse a request: clients read errors, too
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.http.middleware.probes",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "config.http.middleware.RefuseLargeBodies",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.http.middleware.api_in_utc",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [env.CODE / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# The only upload handler: no form, on any URL, is written to the disk in another way.
FILE_UPLOAD_HANDLERS = ["uploads.http.upload_handler.StreamingUploadHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024**2
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

AUTHENTICATION_BACKENDS = ["config.login.ThrottledBackend"]
PASSWORD_HASHERS = ["config.login.BoundedHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
CSRF_FAILURE_VIEW = "config.http.error_responses.csrf_failure"
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
KNOX_TOKEN_MODEL = "uploads.Token"  # noqa: S105  # a model, not a secret
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_TTL": None}
REST_FRAMEWORK = API_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": _THROTTLE_RATES}

STATIC_URL = "static/"
STATIC_ROOT = HOME / "static"
# Installed by npm, if npm is there: the published files, without a build.
_FROM_NPM = [("uppy", BASE_DIR / "node_modules/uppy/dist"), ("hls", BASE_DIR / "node_modules/hls.js/dist")]
STATICFILES_DIRS = [(prefix, folder) for prefix, folder in _FROM_NPM if folder.is_dir()]
WHITENOISE_USE_FINDERS = True  # no collectstatic step before the first start
WHITENOISE_ALLOW_ALL_ORIGINS = False  # CORS is for /api/ only
USE_TZ = True
LANGUAGE_CODE = "en-gb"

SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SECURE_HSTS_SECONDS = 31536000 if _HTTPS else 0
# `check --deploy` wants these on every site. Millrace often runs without HTTPS on a local network, where they would
# lock everybody out. With MILLRACE_PUBLIC_URL=https://… they are on, except the redirect to HTTPS and HSTS for
# subdomains and preload lists: the proxy and the owner of the domain decide on these.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
if not _HTTPS:
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W012", "security.W016"]
