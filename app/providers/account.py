"""Whose key goes where. Only this module decides it: a key never travels to an endpoint from another source."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from ..failure import Code, Failure
from ..upstream.account import Account
from ..upstream.egress import Origin, origin_of, parse
from .provider import Field, Provider


class Sources(NamedTuple):
    """Where values come from, by the fields' names: what the user set, and what the environment sets.

    `policy` says which wins: `environment-first`, `profile-first`, or `environment-only`.
    """

    own: Mapping[str, str]
    environment: Mapping[str, str]
    policy: str

    def of(self, provider: Provider, field: Field) -> Mapping[str, str]:
        """Return the source that a field's value is taken from, if it has one there."""
        if field.operator_only:
            return self.environment
        return self._winner(provider.key if field.with_key else field)

    def ranked(self, provider: Provider, field: Field) -> list[str]:
        """Name the sources that have a value of a field which may be used: the first is used, others if it is removed.

        A source is named `profile` or `environment`. What belongs to a key is taken from the key's source alone.
        """
        is_bound = field.operator_only or field.with_key
        sources = (self.of(provider, field),) if is_bound else self._order()
        return ["profile" if source is self.own else "environment" for source in sources if field.name in source]

    def own_only(self, provider: Provider) -> "Sources":
        """Return the user's own values alone, with the operator's for the fields that users cannot set."""
        names = {field.name for field in provider.settings if field.operator_only}
        operators = {name: value for name, value in self.environment.items() if name in names}
        return Sources(self.own, operators, "profile-first")

    def _winner(self, field: Field) -> Mapping[str, str]:
        order = self._order()
        return next((source for source in order if field.name in source), order[-1])

    def _order(self) -> tuple[Mapping[str, str], ...]:
        if self.policy == "environment-only":
            return (self.environment,)
        return (self.own, self.environment) if self.policy == "profile-first" else (self.environment, self.own)


def account_for(  # noqa: PLR0913 - the three sources, and what is asked for whom
    provider: Provider,
    own: Mapping[str, str],
    environment: Mapping[str, str],
    policy: str,
    *,
    user: str = "",
    model: str = "",
) -> Account:
    """Return the account with which a provider is asked for a model and a user; without a model, to check the key.

    Raises `Failure` 400 if there is no key, or if the provider cannot be asked for the model.
    """
    sources = Sources(own, environment, policy)
    key_source = sources.of(provider, provider.key)
    key, is_own = key_source.get(provider.key.name), key_source is own
    if not key:
        raise _missing_key(provider, policy)
    fields = {field.name: field for field in provider.settings}

    def value(name: str) -> str | None:
        return sources.of(provider, fields[name]).get(name)

    account = Account(
        label=provider.label,
        base_url=value(provider.endpoint.name) or provider.base_url,
        key=key,
        headers={field.header: text for field in provider.fields if field.header and (text := value(field.name))},
        home=provider.base_url,
        chosen_by_user=is_own and not provider.endpoint.operator_only,
        has_operators_key=not is_own,
        value=value,
        user=user,
        key_header=provider.key_header,
        quirks=provider.quirks,
    )
    return _placed(account, *provider.place(account, model)) if provider.place else account


def _placed(account: Account, base_url: str, query: Mapping[str, str]) -> Account:
    """Return the account at an address of the same origin. Raises `ValueError` for another one."""
    own, chosen = _origin(account.base_url), _origin(base_url)
    if own is None:
        return account  # which nobody can be asked at, as `Upstream` will say
    if chosen not in (own, None):
        raise ValueError(f"the key of {account.label} does not go to another origin")
    return replace(account, base_url=base_url, query=query)


@lru_cache(1000)
def _origin(url: str) -> Origin | None:
    parsed = parse(url)
    return origin_of(parsed) if parsed is not None else None


def _missing_key(provider: Provider, policy: str) -> Failure:
    is_operators = policy == "environment-only"
    remedy = "Whoever runs this service has to set it." if is_operators else "Please set it in your profile settings."
    return Failure(Code.MISSING_KEY, f"{provider.label} API Key not found. {remedy}")
