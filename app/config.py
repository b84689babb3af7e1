"""Every setting of the service, declared once: its name, default, unit, sentence and validator.

They are read once, from environment variables, into one frozen record.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError
from marshmallow import fields as kinds
from marshmallow.validate import OneOf, Range

MIN_SECRET_BYTES = 32
"""The secret of HS256 must not be shorter than its hash (RFC 7518, section 3.2)."""
KEY_POLICIES = ("environment-first", "profile-first", "environment-only")
_ORIGIN = re.compile(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d+)?", re.ASCII)
_Value = TypeVar("_Value")
COMMAND = "flask --app wsgi" if __package__ == "app" else "sluice"
"""What an operator types before the name of a command: the package is `app` in the repository, installed `sluice`."""


class SettingError(ValueError):
    """A setting has a value that cannot be used; the message is a sentence that names the setting."""


def with_driver(url: str) -> str:
    """Name the driver that Heroku's `postgres://` leaves open (https://docs.sqlalchemy.org/en/21/core/engines.html)."""
    for scheme in ("postgres://", "postgresql://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url


def _text(read: Callable[[str], Any] = str, must_be: str = "") -> kinds.Field[Any]:
    """Return the kind of a text that a function reads, which raises `ValidationError` for one that cannot be used."""
    return kinds.Function(deserialize=read, metadata={"must_be": must_be})


def _choice(*choices: str) -> kinds.Field[str]:
    return kinds.String(validate=OneOf(choices), metadata={"must_be": f"one of {', '.join(choices)}"})


def _seconds(most: float | None = None, must_be: str = "a number above 0") -> kinds.Field[float]:
    return kinds.Float(validate=Range(0, most, min_inclusive=False), metadata={"must_be": must_be, "unit": "s"})


def _count(unit: str = "") -> kinds.Field[int]:
    return kinds.Integer(validate=Range(1), metadata={"must_be": "a whole number above 0", "unit": unit})


def _secret(value: str) -> str:
    if value.startswith(("-----BEGIN", "ssh-", "{")) or len(value.encode()) < MIN_SECRET_BYTES:
        raise ValidationError("Not a secret.")
    return value


def _address(value: str, schemes: tuple[str, ...] = ("https", "http")) -> str:
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise ValidationError("Not an address.")
    return value


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _origins(value: str, exceptions: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Read origins as browsers write them: in small letters, without the scheme's own port (RFC 6454, section 6.2)."""
    origins = [origin.lower().rstrip("/") for origin in _list(value)]
    for origin in origins:
        if origin not in exceptions:
            _address(origin if _ORIGIN.fullmatch(origin) else "")
    return tuple(origin.removesuffix(":443" if origin.startswith("https") else ":80") for origin in origins)


def _setting(
    default: _Value, kind: kinds.Field[Any], sentence: str, *, secret: bool = False, alias: str = ""
) -> _Value:
    """Declare a setting by its default, its kind, which reads the variable, and what README says of it.

    A secret is shown neither in an error nor where the settings are printed. `alias` is the variable that is read
    where the first is not set.
    """
    return field(default=default, repr=not secret, metadata={"kind": kind, "sentence": sentence, "alias": alias})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the service; each is the environment variable of the same name in capitals."""

    database_url: str = _setting(
        "sqlite:///instance/sluice.db",
        _text(with_driver),
        "where profiles and tokens are kept: `sqlite:////path/to/file.db` or "
        "`postgres://user:password@host/name?sslmode=require`",
        secret=True,
    )
    vault_keys: tuple[str, ...] = _setting(
        (),
        _text(_list),
        "the keys that encrypt profiles, separated by commas; without them, the key is in a file beside the SQLite "
        "database. Postgres requires them",
        secret=True,
    )
    key_policy: str = _setting(
        "environment-first",
        _choice(*KEY_POLICIES),
        "whose keys are used where the environment and a profile have one; or `profile-first`, or `environment-only`",
    )
    auth_jwt_secret: str = _setting(
        "",
        _text(_secret, f"a shared secret of {MIN_SECRET_BYTES} bytes or more; AUTH_JWKS_URL is for public keys"),
        "the secret with which an identity provider signs its tokens (HS256)",
        secret=True,
    )
    auth_jwks_url: str = _setting(
        "",
        _text(_address, "an address like https://login.example/.well-known/jwks.json"),
        "where an identity provider publishes its keys (RS256, ES256, EdDSA)",
        secret=True,
    )
    auth_jwt_audience: str = _setting("", _text(), "the `aud` that its tokens must have; required with either")
    auth_jwt_issuer: str = _setting("", _text(), "the `iss` that its tokens must have; required with either")
    cors_origins: tuple[str, ...] = _setting(
        (),
        _text(partial(_origins, exceptions=("*",)), "origins like https://app.example, separated by commas"),
        "the origins whose pages may ask, separated by commas; `*` for any, without cookies",
    )
    endpoint_allowlist: tuple[str, ...] = _setting(
        (),
        _text(_origins, "origins like https://app.example, separated by commas"),
        "the origins that users may have as their endpoint although they are not public or not https",
    )
    rate_limit: str = _setting(
        "60/minute", _text(), "how many chats a user may begin, settings change and keys check, in a time"
    )
    max_streams_per_user: int = _setting(4, _count(), "the most chats of one user at once")
    redis_url: str = _setting(
        "",
        _text(),
        "where both are counted for all processes together, over up to eight connections from each; without it, each "
        "counts alone",
        secret=True,
    )
    redis_tls_verify: str = _setting(
        "yes",
        _choice("yes", "no"),
        "whether the certificate of Redis is verified; `no` where it signs its own, as Heroku's does",
    )
    max_streams: int = _setting(400, _count(), "the most chats at once in one worker; one more gets a 503")
    max_body_bytes: int = _setting(10 * 1024 * 1024, _count("bytes"), "the largest request")
    max_bodies_bytes: int = _setting(
        64 * 1024 * 1024,
        _count("bytes"),
        "the memory that requests take in one worker until they are sent on; above it a 503, except for one alone",
    )
    body_timeout_seconds: float = _setting(15, _seconds(), "how long the body of a request may take to arrive")
    header_timeout_seconds: float = _setting(10, _seconds(), "how long the headers of a request may take to arrive")
    connect_timeout_seconds: float = _setting(5, _seconds(), "how long connecting to a provider may take")
    commit_seconds: float = _setting(20, _seconds(), "after how long without an answer the headers go out")
    first_event_timeout_seconds: float = _setting(
        120, _seconds(), "how long a provider may think before its answer begins"
    )
    idle_timeout_seconds: float = _setting(50, _seconds(), "how long a provider may pause in mid-answer")
    stream_timeout_seconds: float = _setting(600, _seconds(), "how long one answer may take in all")
    heartbeat_seconds: float = _setting(15, _seconds(), "how often a silent event stream carries a comment")
    write_timeout_seconds: float = _setting(30, _seconds(), "how long a client may take nothing of what is sent to it")
    drain_seconds: float = _setting(
        20,
        _seconds(25, "a number above 0 and at most 25 (platforms kill what is left at 30 s)"),
        "how long running answers may go on after SIGTERM; at most 25",
    )
    text_notes: str = _setting(
        "yes",
        _choice("yes", "no"),
        "whether an answer in plain text that ends short says so in its text; `no` turns that off",
    )
    https_proxy: str = _setting(
        "",
        _text(partial(_address, schemes=("http",)), "an address like http://proxy.example:3128"),
        "the proxy to providers where there is no direct way out: `http://user:password@host:port`",
        secret=True,
        alias="https_proxy",  # as most systems write it
    )
    no_proxy: str = _setting(
        "", _text(), "the hosts that are reached without the proxy, separated by commas", alias="no_proxy"
    )
    provider_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The providers' settings that the environment sets, by their names in a profile."""


DECLARED = {item.name.upper(): item for item in fields(Settings) if item.metadata}
"""The declarations of the settings by their variables."""
_schema = Schema.from_dict({variable: item.metadata["kind"] for variable, item in DECLARED.items()})()


def read(environ: Mapping[str, str], providers: Mapping[str, str] = MappingProxyType({})) -> Settings:
    """Read the settings from an environment, in which an empty variable counts as unset. Raises `SettingError`.

    `providers` are the variables of the providers' settings, by the settings' names.
    """
    names = {variable: (variable, item.metadata["alias"]) for variable, item in DECLARED.items()}
    given = {variable: value for variable, either in names.items() if (value := _find(environ, *either))}
    try:
        found = _schema.load(given)
    except ValidationError as error:
        raise _error(next(iter(error.messages_dict)), given) from error
    own = {name: value for name, variable in providers.items() if (value := _find(environ, variable))}
    settings = Settings(provider_environment=own, **{variable.lower(): value for variable, value in found.items()})
    _check_login(settings)
    return settings


def _find(environ: Mapping[str, str], *variables: str) -> str:
    """Return the value of the first variable that is set."""
    return next((value for variable in variables if (value := environ.get(variable, "").strip())), "")


def _error(variable: str, given: Mapping[str, str]) -> SettingError:
    item = DECLARED[variable]
    shown = f", not {given[variable]!r}" if item.repr else ""
    return SettingError(f"{variable} must be {item.metadata['kind'].metadata['must_be']}{shown}.")


def _check_login(settings: Settings) -> None:
    """Refuse half a login: tokens whose audience is not checked would let the users of other services in."""
    has_key = settings.auth_jwt_secret or settings.auth_jwks_url
    has_names = [bool(settings.auth_jwt_audience), bool(settings.auth_jwt_issuer)]
    if has_key and not all(has_names):
        raise SettingError("AUTH_JWT_AUDIENCE and AUTH_JWT_ISSUER must be set too, for tokens to be checked against.")
    if any(has_names) and not has_key:
        raise SettingError("AUTH_JWT_AUDIENCE and AUTH_JWT_ISSUER need AUTH_JWT_SECRET or AUTH_JWKS_URL.")
