"""All settings, read from the environment with the prefix SEXTANT_. docs/configuration.md lists them, and a test holds it
complete. A value that can't be read stops the program with one sentence."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from environs import Env, EnvError, ValidationError

from assistant.local_secret import local_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

# huggingface_hub reports nothing to anybody; nor does ONNX Runtime (indexer.minilm).
for _name in ("DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_name, "1")

env = Env(prefix="SEXTANT_")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _one_of(*choices: str) -> Any:
    def check(value: str) -> None:
        if value not in choices:
            raise ValidationError(f"It must be one of {', '.join(choices)}.")

    return check


def _port(value: int) -> None:
    if not 0 < value < 2**16:
        raise ValidationError("It must be a port: 1 to 65535.")


def _above_zero(value: float) -> None:
    if not 0 < value < float("inf"):
        raise ValidationError("It must be more than 0.")


def _not_negative(value: float) -> None:
    if value < 0:
        raise ValidationError("It can't be less than 0.")


def _redis_url(value: str) -> None:
    if value and not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValidationError("It must begin with redis://, rediss:// or unix://.")


try:
    # --- where things are -------------------------------------------------------------------------------------------
    DATA_DIR = env.path("DATA_DIR", default=BASE_DIR / "var").resolve()
    CACHE_DIR = env.path("CACHE_DIR", default=Path.home() / ".cache" / "sextant").resolve()
    INDEX_ROOT = env.path("INDEX_ROOT", default=DATA_DIR / "indexes").resolve()
    CLONE_ROOT = DATA_DIR / "clones"

    # --- web ----------------------------------------------------------------------------------------------------------
    DEBUG = env.bool("DEBUG", default=False)
    HOST = env.str("HOST", default="127.0.0.1")
    PORT = env.int("PORT", default=8000, validate=_port)
    SIGN_IN = env.str("SIGN_IN", default="free" if _is_loopback(HOST) else "required", validate=_one_of("free", "required"))
    ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
    CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
    SECURE_COOKIES = env.bool("SECURE_COOKIES", default=False)
    SECRET_KEY = env.str("SECRET_KEY", default="") or local_secret_key(DATA_DIR)
    LOG_LEVEL = env.str("LOG_LEVEL", default="INFO", validate=_one_of("DEBUG", "INFO", "WARNING", "ERROR"))
    DATABASE_URL = env.str("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'sextant.sqlite3'}")
    DATABASE_POOL = env.int("DATABASE_POOL", default=0, validate=_not_negative)
    REDIS_URL = env.str("REDIS_URL", default="", validate=_redis_url)

    # --- model servers --------------------------------------------------------------------------------------------------
    CODE_MODEL_URL = env.str("CODE_MODEL_URL", default="").rstrip("/")
    CODE_MODEL_NAME = env.str("CODE_MODEL_NAME", default="")
    CODE_MODEL_API_KEY = env.str("CODE_MODEL_API_KEY", default="")
    CODE_MODEL_CONTEXT = env.int("CODE_MODEL_CONTEXT", default=0, validate=_not_negative)
    GENERAL_MODEL_URL = env.str("GENERAL_MODEL_URL", default="").rstrip("/")
    GENERAL_MODEL_NAME = env.str("GENERAL_MODEL_NAME", default="")
    GENERAL_MODEL_API_KEY = env.str("GENERAL_MODEL_API_KEY", default="")
    GENERAL_MODEL_CONTEXT = env.int("GENERAL_MODEL_CONTEXT", default=0, validate=_not_negative)
    MODERATION_URL = env.str("MODERATION_URL", default="").rstrip("/")
    MODERATION_NAME = env.str("MODERATION_NAME", default="")
    MODERATION_API_KEY = env.str("MODERATION_API_KEY", default="")
    MODERATION_KIND = env.str("MODERATION_KIND", default="guard", validate=_one_of("guard", "moderations"))
    MODERATION_FAIL = env.str("MODERATION_FAIL", default="closed", validate=_one_of("open", "closed"))
    MODERATION_TIMEOUT_S = env.float("MODERATION_TIMEOUT_S", default=5.0, validate=_above_zero)
    CODE_FALLBACK_URL = env.str("CODE_FALLBACK_URL", default="").rstrip("/")
    CODE_FALLBACK_NAME = env.str("CODE_FALLBACK_NAME", default="")
    CODE_FALLBACK_API_KEY = env.str("CODE_FALLBACK_API_KEY", default="")
    CODE_FALLBACK_CONTEXT = env.int("CODE_FALLBACK_CONTEXT", default=0, validate=_not_negative)
    GENERAL_FALLBACK_URL = env.str("GENERAL_FALLBACK_URL", default="").rstrip("/")
    GENERAL_FALLBACK_NAME = env.str("GENERAL_FALLBACK_NAME", default="")
    GENERAL_FALLBACK_API_KEY = env.str("GENERAL_FALLBACK_API_KEY", default="")
    GENERAL_FALLBACK_CONTEXT = env.int("GENERAL_FALLBACK_CONTEXT", default=0, validate=_not_negative)
    CONNECT_TIMEOUT_S = env.float("CONNECT_TIMEOUT_S", default=5.0, validate=_above_zero)
    FIRST_TOKEN_TIMEOUT_S = env.float("FIRST_TOKEN_TIMEOUT_S", default=300.0, validate=_above_zero)
    TOKEN_GAP_TIMEOUT_S = env.float("TOKEN_GAP_TIMEOUT_S", default=60.0, validate=_above_zero)

    # --- the embedded model -----------------------------------------------------------------------------------------------
    EMBEDDED_MODEL = env.str("EMBEDDED_MODEL", default="auto", validate=_one_of("auto", "coder", "demonstration", "off"))
    EMBEDDED_HOST = env.str("EMBEDDED_HOST", default="127.0.0.1")
    EMBEDDED_PORT = env.int("EMBEDDED_PORT", default=8011, validate=_port)
    EMBEDDED_CONTEXT = env.int("EMBEDDED_CONTEXT", default=4096, validate=_above_zero)
    EMBEDDED_WEIGHTS = env.str("EMBEDDED_WEIGHTS", default="")
    OFFLINE = env.bool("OFFLINE", default=False)

    # --- answers ------------------------------------------------------------------------------------------------------------
    EVIDENCE_TOKENS = env.int("EVIDENCE_TOKENS", default=0, validate=_not_negative)
    ANSWER_TOKENS = env.int("ANSWER_TOKENS", default=0, validate=_not_negative)
    ABSTAIN = env.bool("ABSTAIN", default=True)
    ANSWER_LEASE_S = env.float("ANSWER_LEASE_S", default=15.0, validate=_above_zero)
    ANSWER_ATTEMPTS = env.int("ANSWER_ATTEMPTS", default=2, validate=_above_zero)
    ANSWER_CONCURRENCY = env.int("ANSWER_CONCURRENCY", default=200, validate=_above_zero)

    # --- indexing -------------------------------------------------------------------------------------------------------------
    EMBEDDER = env.str("EMBEDDER", default="minilm")
    FAISS_DEVICE = env.str("FAISS_DEVICE", default="auto", validate=_one_of("auto", "cpu", "gpu"))
    MAX_FILE_BYTES = env.int("MAX_FILE_BYTES", default=1_000_000, validate=_above_zero)
    PARSE_DEADLINE_S = env.float("PARSE_DEADLINE_S", default=5.0, validate=_above_zero)
    PARSE_PROCESSES = env.int("PARSE_PROCESSES", default=0, validate=_not_negative)
    REDACT_SECRETS = env.bool("REDACT_SECRETS", default=True)
    LOG_ROUTES = env.bool("LOG_ROUTES", default=True)
    SOURCE_CHECK_S = env.float("SOURCE_CHECK_S", default=300.0, validate=_not_negative)
    INDEX_LEASE_S = env.float("INDEX_LEASE_S", default=30.0, validate=_above_zero)
except (EnvError, ValueError) as error:
    sys.exit(f"Sextant can't start: {error}")
except OSError as error:
    sys.exit(f"Sextant can't start: it can't keep its files in {DATA_DIR} ({error.strerror}). Set SEXTANT_DATA_DIR.")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "django_tasks",
    "django_tasks_db",
    "indexer",
    "assistant",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "assistant.sign_in.SignInMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "assistant.urls"
ASGI_APPLICATION = "assistant.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _pool() -> dict[str, Any]:
    """Waiting for a connection no longer than a reader would for "the database doesn't answer"."""
    return {"pool": {"min_size": 1, "max_size": DATABASE_POOL, "timeout": 5}} if DATABASE_POOL else {}


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and parts.path.strip("/"):
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": parts.path[1:] if parts.path.startswith("//") else parts.path,
            "OPTIONS": {
                # Several processes write: take the write lock at BEGIN, wait for it, and let readers go on.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA mmap_size=134217728;",
            },
            # A file, so that a test can have several processes and threads on it.
            "TEST": {"NAME": str(DATA_DIR / "test.sqlite3")},
        }
    if parts.scheme in ("postgres", "postgresql"):
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            "OPTIONS": {**dict(parse_qsl(parts.query)), **_pool()},
            "CONN_HEALTH_CHECKS": True,
        }
    sys.exit("Sextant can't start: SEXTANT_DATABASE_URL must be sqlite:///PATH or postgresql://….")


try:
    DATABASES = {"default": _database(DATABASE_URL)}
except ValueError as error:
    sys.exit(f"Sextant can't start: SEXTANT_DATABASE_URL can't be read: {error}")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Without Redis each process has its own layer, and consumers find new events by polling the database.
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["index"]}}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SILENCED_SYSTEM_CHECKS: list[str] = []

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["dompurify"],
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
# Until `collectstatic` has run, the files are served from where they are written.
WHITENOISE_USE_FINDERS = True
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "assistant.static_files.ModuleManifestStorage"},
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{", "datefmt": "%H:%M:%S"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "assistant": {"level": LOG_LEVEL},
        "indexer": {"level": LOG_LEVEL},
        "django_tasks": {"level": "WARNING"},
        "django_tasks_db": {"level": "WARNING"},
    },
}
