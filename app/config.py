"""Every setting of the service, its default and its unit, read once into one frozen record."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from urllib.parse import urlsplit

MAX_DRAIN_SECONDS = 25
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
    max_streams: int = 400
    """The most chats at once in one worker."""
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
    numbers = {
        item.name: _number(item.name.upper(), given[item.name], whole=item.type is int)
        for item in fields(Settings)
        if given[item.name] and item.type in (int, float)
    }
    if numbers.get("drain_seconds", 0) > MAX_DRAIN_SECONDS:
        raise SettingError(f"DRAIN_SECONDS must be at most {MAX_DRAIN_SECONDS}: platforms kill what is left at 30 s.")
    return Settings(
        database_url=_database_url(given["database_url"]) or _DATABASE,
        https_proxy=_proxy(given["https_proxy"]),
        no_proxy=given["no_proxy"],
        provider_environment={
            name: value for name, variable in providers.items() if (value := environ.get(variable, "").strip())
        },
        **numbers,  # type: ignore[arg-type]  # _number gives each field the type that the record declares
    )


def _number(variable: str, value: str, *, whole: bool) -> float | int:
    """Read a number above zero."""
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise SettingError(f"{variable} must be a {'whole ' * whole}number above 0, not {value!r}.")
    return number


def _proxy(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = not url or (parts.scheme == "http" and parts.hostname and parts.port != 0)
    except ValueError:
        usable = False
    if not usable:
        raise SettingError("HTTPS_PROXY must be an address like http://proxy.example:3128.")
    return url


def _database_url(url: str) -> str:
    """Name the driver that Heroku's `postgres://` leaves open (https://docs.sqlalchemy.org/en/21/core/engines.html)."""
    for scheme in ("postgres://", "postgresql://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url
