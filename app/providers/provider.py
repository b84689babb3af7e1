"""What a provider is: a name, an address, a key, a dialect, and how it differs from the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .. import models
from ..chat import Chat
from ..failure import Code, Failure
from ..models import Family
from ..upstream.account import Account
from ..upstream.dialect import Dialect, Json
from ..upstream.egress import check_endpoint
from .forms import ENDPOINT, KEY, Form


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that is set for a provider: its name in a profile, its variable in the environment, its form.

    `title` and `example` are for people. `meant` cuts a value down to what counts, where people paste more.
    """

    name: str
    variable: str
    form: Form
    title: str
    example: str = ""
    with_key: bool = False
    """Whether it is taken from where the key is, whatever is set elsewhere."""
    operator_only: bool = False
    """Whether it is read from the environment alone."""
    header: str = ""
    """The header of each request that its value travels in, if it does."""
    meant: Callable[[str], str] = str

    @property
    def is_secret(self) -> bool:
        """Whether its value is shown to nobody."""
        return self.form is KEY

    @property
    def is_endpoint(self) -> bool:
        """Whether its value says where the key is sent."""
        return self.form is ENDPOINT

    def check(self, value: object, allowed_endpoints: tuple[str, ...]) -> str:
        """Return a value as it is stored. Raises `Failure` for one that the field cannot have."""
        kept = value.strip() if isinstance(value, str) else ""
        if not self.form.fits(kept):
            raise Failure(Code.BAD_BODY, f"{self.name} {self.form.sentence.format(example=self.example)}.")
        if self.is_endpoint:
            check_endpoint(self.meant(kept), allowed_endpoints)
        return kept


@dataclass(frozen=True)
class Provider:
    """A provider. A plain one has a name, a label for sentences, a base URL and a dialect.

    The names and variables of its key and base URL follow from `prefix`, its name where none is given: `name_api_key`,
    `NAME_API_KEY`, `NAME_BASE_URL`. A provider without a `base_url` has an endpoint among its `fields`.
    """

    name: str
    label: str
    base_url: str
    dialect: Dialect
    families: tuple[Family, ...] = ()
    models: tuple[str, ...] = ()
    """Models that are suggested; the first one is asked if a person names none."""
    fields: tuple[Field, ...] = ()
    """What can be set beside the key and the base URL."""
    quirks: Any = None
    """How it differs from others of its dialect, in the dialect's own record."""
    adapt: Callable[[Chat, Account], Chat] | None = None
    """`adapt(chat, account)` says what it is asked for, if that is not what the client wrote."""
    place: Callable[[Account, str], tuple[str, Mapping[str, str]]] | None = None
    """`place(account, model)` returns the base URL and the query with which it is asked, if they depend on its fields.
    The origin has to be that of the account's base URL. The model is empty for a check of the key."""
    prefix: str = ""
    key_header: str = ""
    """The header that the key travels in; a bearer token if it is empty."""

    @cached_property
    def key(self) -> Field:
        """The field without which nothing can be asked."""
        prefix = self.prefix or self.name
        return Field(f"{prefix}_api_key", f"{prefix}_api_key".upper(), KEY, "API key")

    @cached_property
    def endpoint(self) -> Field:
        """The field that says where the key is sent."""
        (found,) = (field for field in self.settings if field.is_endpoint)
        return found

    @cached_property
    def settings(self) -> tuple[Field, ...]:
        """All fields but the key."""
        name = f"{self.prefix or self.name}_base_url"
        base_url = Field(name, name.upper(), ENDPOINT, "Base URL", self.base_url, operator_only=True)
        return (*self.fields, base_url) if self.base_url else self.fields

    @cached_property
    def own_fields(self) -> tuple[Field, ...]:
        """The fields that users may set in their profiles; an endpoint comes before its key, as it has to be set."""
        own = [field for field in (self.key, *self.settings) if not field.operator_only]
        return tuple(sorted(own, key=lambda field: not field.is_endpoint))

    def request(self, chat: Chat, account: Account) -> tuple[str, Json]:
        """Return the path and the body with which a chat is asked."""
        family = models.find(self.families, chat.model)
        return self.dialect.request(self.adapt(chat, account) if self.adapt else chat, account, family)
