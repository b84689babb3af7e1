"""Examines a service, and reports in sentences: its configuration, and whatever is exposed or unsafe."""

import shlex
import sysconfig
from argparse import ArgumentError, ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from .config import COMMAND, Settings
from .failure import Failure
from .providers import Provider
from .routes.service import Service

UNSAFE = "UNSAFE"
EXPOSED = "EXPOSED"
_GUNICORN = ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
_GUNICORN.add_argument("-k", "--worker-class", default="")
_GUNICORN.add_argument("--threads", default="1")
"""The options of gunicorn that decide how many requests a process answers at a time."""


class Finding(NamedTuple):
    """One sentence. `mark` is `UNSAFE`, or `EXPOSED` for a risk that may be intended, or empty."""

    sentence: str
    mark: str = ""


def examine(service: Service, providers: Iterable[Provider], environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield all findings, of a server in such an environment. This connects to the database and to Redis."""
    settings = service.settings
    yield from _database(service)
    yield from exposure(service)
    yield from _keys(settings, providers)
    yield from _limits(service)
    yield from _browsers(settings)
    yield from _addresses(settings, providers, environ)
    yield from _server(environ)
    yield from _python()


def reason(failure: Failure) -> str:
    """Return why the database failed: the first line of the driver's error."""
    cause = failure.__cause__ or failure
    return str(getattr(cause, "orig", None) or cause).partition("\n")[0]


def exposure(service: Service) -> Iterator[Finding]:
    """Yield the findings about logins: who can use the service."""
    settings, login = service.settings, service.login
    if login.is_host_login:
        yield Finding("Login: the application around this one decides who asks.")
        return
    tokens = _tokens(service)
    if settings.auth_jwt_secret:
        yield Finding(f"Login: tokens of {settings.auth_jwt_issuer}, signed with AUTH_JWT_SECRET.")
    if settings.auth_jwks_url:
        url = urlsplit(settings.auth_jwks_url)
        keys = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
        yield Finding(f"Login: tokens of {settings.auth_jwt_issuer}, signed with the keys at {keys}.")
    if tokens is None:
        yield Finding("Login: whether there are bearer tokens is not known while the database cannot be read.")
    elif tokens:
        yield Finding(f"Login: bearer tokens (`{COMMAND} token list` shows them).")
    elif not login.is_configured:
        yield Finding("Reachable without login: by every program of this machine, and by nothing else.", mark=EXPOSED)
        yield Finding(
            "A proxy on this machine that adds no header of its own would pass for its user. "
            f"`{COMMAND} token create --user NAME` ends that.",
            mark=EXPOSED,
        )


def _tokens(service: Service) -> bool | None:
    try:
        return service.store.tokens.exist()
    except Failure:
        return None


def _database(service: Service) -> Iterator[Finding]:
    database = service.store.database
    try:
        database.check()
        locked = service.store.profiles.count_locked()
    except Failure as failure:
        yield Finding(f"Database: {database.name} cannot be used: {reason(failure)}.", mark=UNSAFE)
        return
    yield Finding(f"Database: {database.name} is up to date.")
    yield Finding(f"Vault: {database.vault.description}.")
    if not database.is_encrypted:
        yield Finding("Database: the connection need not be encrypted; sslmode=require in its URL does.", mark=EXPOSED)
    if locked:
        sentence = f"Vault: {locked} settings cannot be decrypted; the key that they were encrypted with is missing."
        yield Finding(sentence, mark=UNSAFE)


def _keys(settings: Settings, providers: Iterable[Provider]) -> Iterator[Finding]:
    paid = [provider.label for provider in providers if provider.key.name in settings.provider_environment]
    yield Finding(f"Keys: {settings.key_policy} (KEY_POLICY).")
    if paid:
        yield Finding(f"Keys: whoever is let in can spend the environment's keys of {', '.join(paid)}.")


def _limits(service: Service) -> Iterator[Finding]:
    settings = service.settings
    yield Finding(f"Limits: {settings.rate_limit} and {settings.max_streams_per_user} at once for each user.")
    if settings.redis_tls_verify == "no":
        yield Finding("Limits: whether it is Redis that answers is not verified (REDIS_TLS_VERIFY).", mark=EXPOSED)
    if service.limiter.shared:
        yield Finding("Limits: counted in Redis, for all processes together.")
    elif settings.redis_url:
        yield Finding("Limits: Redis cannot be reached, so each process counts alone.", mark=UNSAFE)
    else:
        yield Finding("Limits: each process counts alone. REDIS_URL makes them count together.")


def _browsers(settings: Settings) -> Iterator[Finding]:
    if settings.cors_origins:
        mark = EXPOSED if "*" in settings.cors_origins else ""
        yield Finding(f"Browsers: pages of {', '.join(settings.cors_origins)} may ask.", mark=mark)
    for origin in settings.cors_origins:
        if _is_plain(origin):
            yield Finding(f"Browsers: pages of {origin} are not encrypted on their way.", mark=UNSAFE)


def _addresses(settings: Settings, providers: Iterable[Provider], environ: Mapping[str, str]) -> Iterator[Finding]:
    names = {setting.name: setting.variable for provider in providers for setting in provider.settings}
    urls = {names[name]: value for name, value in settings.provider_environment.items() if name in names}
    urls |= {"AUTH_JWKS_URL": settings.auth_jwks_url, "REDIS_URL": settings.redis_url}
    for variable, url in urls.items():
        if _is_plain(url):
            yield Finding(f"{variable}: what is sent there or read from there is not encrypted.", mark=UNSAFE)
    for origin in settings.endpoint_allowlist:
        yield Finding(f"Endpoints: users may have their keys sent to {origin} (ENDPOINT_ALLOWLIST).")
    if environ.get("FORWARDED_ALLOW_IPS") == "*":
        yield Finding("Proxies: the headers of every proxy are believed (FORWARDED_ALLOW_IPS).")


def _server(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the findings about the server, another process, from the environment."""
    if _is_one_at_a_time(environ.get("GUNICORN_CMD_ARGS", "")):
        sentence = "Server: GUNICORN_CMD_ARGS asks for a gunicorn of one thread, which answers one request at a time."
        yield Finding(sentence, mark=UNSAFE)
    yield Finding(
        "Server: which one runs the service is not seen from here. What it cannot keep, such as a cut that shows or "
        "several chats at once, its log says at the first chat, in lines with `Server:`; docs/hosting.md has all."
    )


def _python() -> Iterator[Finding]:
    """Yield a finding if this Python was built without profile-guided optimisation.

    Debian optimises its builds, and removes the flags from what a build records: no flags are no finding.
    """
    built, flags = map(sysconfig.get_config_var, ("CONFIG_ARGS", "PGO_PROF_USE_FLAG"))
    if built and flags and "--enable-optimizations" not in built:
        sentence = "Python: this one was built without --enable-optimizations, and needs a fifth more CPU for an event."
        yield Finding(sentence)


def _is_one_at_a_time(arguments: str) -> bool:
    """Return whether gunicorn's arguments ask for a worker of one thread. `sync` with several is `gthread`."""
    try:
        found, _ = _GUNICORN.parse_known_args(shlex.split(arguments))
    except (ArgumentError, ValueError):  # gunicorn does not start with these
        return False
    return found.worker_class in {"sync", "gthread"} and found.threads == "1"


def _is_plain(url: str) -> bool:
    """Return whether a URL is unencrypted: without TLS and not on this machine, or not a valid URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    host = parts.hostname or ""
    try:
        is_here = ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    return parts.scheme in {"http", "redis"} and not is_here
