"""Every setting of the service, its default and its unit, read once into one frozen record."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

MAX_DRAIN_SECONDS = 25
MIN_SECRET_BYTES = 32
_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d+)?", re.ASCII)
KEY_POLICIES = ("environment-first", "profile-first", "environment-only")
_DATABASE = "sqlite:///instance/sluice.db"


class SettingError(ValueError):
    """A setting's value cannot be used; the message is a sentence that names the setting."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The service's settings; each is the environment variable of the same name in capitals."""

    database_url: str = field(default=_DATABASE, repr=False)
    """Where profiles are kept: an SQLite file's path is relative to the working directory, and `postgres://` is
    understood as `postgresql+psycopg://`."""
    commit_seconds: float = 20
    """How long a first piece is awaited before the headers go out without one."""
    first_event_timeout_seconds: float = 120
    """How long a provider may think before its first piece."""
    idle_timeout_seconds: float = 50
    """How long a provider may pause in mid-answer; comments do not count."""
    stream_timeout_seconds: float = 600
    """How long one answer may take in all."""
    heartbeat_seconds: float = 15
    """How often a silent SSE stream carries a comment."""
    connect_timeout_seconds: float = 5
    """How long connecting to a provider may take, TLS included."""
    body_timeout_seconds: float = 15
    """How long a client may take to send its request's body."""
    write_timeout_seconds: float = 30
    """How long a client may take nothing of what is sent to it."""
    drain_seconds: float = 20
    """How long running answers may go on after SIGTERM."""
    max_body_bytes: int = 10 * 1024 * 1024
    """The largest request body."""
    max_bodies_bytes: int = 64 * 1024 * 1024
    """The most that the bodies of all chats that a worker reads may take of the memory; one alone may take more."""
    max_streams: int = 400
    """The most chats at once in one worker."""
    auth_jwt_secret: str = field(default="", repr=False)
    """The secret with which an identity provider signs its tokens (HS256)."""
    auth_jwks_url: str = ""
    """Where an identity provider publishes the keys of its signatures (RS256, ES256, EdDSA)."""
    auth_jwt_audience: str = ""
    """The `aud` that a token must carry."""
    auth_jwt_issuer: str = ""
    """The `iss` that a token must carry."""
    cors_origins: tuple[str, ...] = ()
    """The origins whose pages may ask: exact ones, or `*` for any that need no cookie."""
    vault_keys: tuple[str, ...] = field(default=(), repr=False)
    """The Fernet keys of the stored settings: the first encrypts, all decrypt."""
    key_policy: str = "environment-first"
    """Whose settings are used where both the environment and the profile have them."""
    text_notes: str = "yes"
    """Whether an answer in plain text that ends short says so in its text: `no` turns the sentences off."""
    endpoint_allowlist: tuple[str, ...] = ()
    """Origins that users may set as an endpoint although they are no public https ones."""
    rate_limit: str = "60/minute"
    """How many chats a user may begin in a time, as the `limits` library writes it."""
    max_streams_per_user: int = 4
    """The most chats of one user at once."""
    redis_url: str = field(default="", repr=False)
    """Where the limits are counted when processes share them."""
    redis_tls_verify: str = "yes"
    """Whether Redis's certificate is verified: `no` where it signs its own, as Heroku's does."""
    https_proxy: str = field(default="", repr=False)
    """The proxy over which providers are reached where there is no direct way out: `http://[user:password@]host:port`."""
    no_proxy: str = ""
    """Hosts that are reached without the proxy, separated by commas."""
    provider_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The providers' settings that the environment sets, by their names in a profile."""


def read(environ: Mapping[str, str], providers: Mapping[str, str] = MappingProxyType({})) -> Settings:
    """Read the settings from an environment, in which an empty variable counts as unset. Raises `SettingError`.

    `providers` are the variables of the providers' settings, by the settings' names.
    """
    given = {item.name: environ.get(item.name.upper(), "").strip() for item in fields(Settings)}
    for name in ("https_proxy", "no_proxy"):  # which most systems set in small letters
        given[name] = given[name] or environ.get(name, "").strip()
    _check_login(given)
    set_ = {item.name: _READ[item.name](given[item.name]) for item in fields(Settings) if given[item.name]}
    if set_.get("drain_seconds", 0) > MAX_DRAIN_SECONDS:
        raise SettingError(f"DRAIN_SECONDS must be at most {MAX_DRAIN_SECONDS}: platforms kill what is left at 30 s.")
    found = {name: value for name, variable in providers.items() if (value := environ.get(variable, "").strip())}
    return Settings(**set_ | {"provider_environment": found})


def _check_login(given: Mapping[str, str]) -> None:
    """Refuse half a login: a token that is not checked for whom it is meant would let another service's users in."""
    has_key = given["auth_jwt_secret"] or given["auth_jwks_url"]
    has_names = [bool(given["auth_jwt_audience"]), bool(given["auth_jwt_issuer"])]
    if has_key and not all(has_names):
        raise SettingError("AUTH_JWT_AUDIENCE and AUTH_JWT_ISSUER must be set too, for tokens to be checked against.")
    if any(has_names) and not has_key:
        raise SettingError("AUTH_JWT_AUDIENCE and AUTH_JWT_ISSUER need AUTH_JWT_SECRET or AUTH_JWKS_URL.")


def _number(variable: str, whole: bool) -> Callable[[str], float | int]:  # noqa: FBT001 - of the table below only
    """Return what reads a number above zero."""

    def read(value: str) -> float | int:
        try:
            number = int(value) if whole else float(value)
        except ValueError:
            number = 0
        if not 0 < number < float("inf"):
            raise SettingError(f"{variable} must be a {'whole ' * whole}number above 0, not {value!r}.")
        return number

    return read


def _secret(value: str) -> str:
    """Read the secret of HS256, which must not be shorter than its hash (RFC 7518, section 3.2)."""
    if value.startswith(("-----BEGIN", "ssh-", "{")):
        raise SettingError(
            "AUTH_JWT_SECRET must be a shared secret. The address of public keys goes into AUTH_JWKS_URL."
        )
    if len(value.encode()) < MIN_SECRET_BYTES:
        raise SettingError(f"AUTH_JWT_SECRET must be of {MIN_SECRET_BYTES} bytes or more.")
    return value


def _jwks_url(url: str) -> str:
    if not _is_address(url, ("https", "http")):
        raise SettingError("AUTH_JWKS_URL must be an address like https://login.example/.well-known/jwks.json.")
    return url


def _proxy(url: str) -> str:
    if not _is_address(url, ("http",)):
        raise SettingError("HTTPS_PROXY must be an address like http://proxy.example:3128.")
    return url


def _is_address(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _origins(variable: str) -> Callable[[str], tuple[str, ...]]:
    """Return what reads origins, separated by commas, as browsers write them (RFC 6454, section 6.2)."""

    def read(value: str) -> tuple[str, ...]:
        origins = [part.strip().lower().rstrip("/") for part in value.split(",") if part.strip()]
        for origin in origins:
            is_any = origin == "*" and variable == "CORS_ORIGINS"
            if not is_any and not (_ORIGIN.fullmatch(origin) and _is_address(origin, ("https", "http"))):
                raise SettingError(f"{variable} must be origins like https://app.example, not {origin!r}.")
        return tuple(origin.removesuffix(":443" if origin.startswith("https") else ":80") for origin in origins)

    return read


def _vault_keys(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _key_policy(value: str) -> str:
    if value not in KEY_POLICIES:
        raise SettingError(f"KEY_POLICY must be one of {', '.join(KEY_POLICIES)}, not {value!r}.")
    return value


def _yes_or_no(variable: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in {"yes", "no"}:
            raise SettingError(f"{variable} must be yes or no, not {value!r}.")
        return value

    return read


def with_driver(url: str) -> str:
    """Name the driver that Heroku's `postgres://` leaves open (https://docs.sqlalchemy.org/en/21/core/engines.html)."""
    for scheme in ("postgres://", "postgresql://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url


_READ: Mapping[str, Callable[[str], Any]] = {
    **{item.name: str for item in fields(Settings)},
    **{
        item.name: _number(item.name.upper(), item.type is int)
        for item in fields(Settings)
        if item.type in (int, float)
    },
    "auth_jwt_secret": _secret,
    "auth_jwks_url": _jwks_url,
    "cors_origins": _origins("CORS_ORIGINS"),
    "endpoint_allowlist": _origins("ENDPOINT_ALLOWLIST"),
    "vault_keys": _vault_keys,
    "key_policy": _key_policy,
    "text_notes": _yes_or_no("TEXT_NOTES"),
    "redis_tls_verify": _yes_or_no("REDIS_TLS_VERIFY"),
    "https_proxy": _proxy,
    "database_url": with_driver,
}
