"""The database of an existing chatbot-ui, as far as its table `profiles` goes."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import column, insert, table

from tests.store.stores import engine, query

ADA, BOB, EVE = (str(UUID(int=number)) for number in (1, 2, 3))
"""Users, by the ids that Supabase gave them."""
COLUMNS = {
    "id": "UUID PRIMARY KEY",
    "user_id": "UUID NOT NULL UNIQUE",
    "created_at": "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP",
    "has_onboarded": "BOOLEAN NOT NULL DEFAULT FALSE",
    "display_name": "TEXT NOT NULL",
    "use_azure_openai": "BOOLEAN NOT NULL",
    "anthropic_api_key": "TEXT",
    "azure_openai_35_turbo_id": "TEXT",
    "azure_openai_45_turbo_id": "TEXT",
    "azure_openai_45_vision_id": "TEXT",
    "azure_openai_api_key": "TEXT",
    "azure_openai_endpoint": "TEXT",
    "mistral_api_key": "TEXT",
    "openai_api_key": "TEXT",
    "openai_organization_id": "TEXT",
    "groq_api_key": "TEXT",
}
"""What its migrations make: every setting that is known here too, and of what is not, one column of each kind."""


def make_profiles(url: str, profiles: Mapping[str, Mapping[str, str]], without: str = "") -> None:
    """Make the table in a database, with these users' settings in it."""
    columns = [f"{name} {kind}" for name, kind in COLUMNS.items() if name != without]
    query(url, f"CREATE TABLE profiles ({', '.join(columns)})")
    with engine(url).begin() as connection:
        for number, (user, values) in enumerate(profiles.items()):
            known = {"id": str(UUID(int=10_000 + number)), "user_id": user, "display_name": "x", **values}
            row = {**known, "use_azure_openai": True}
            connection.execute(insert(table("profiles", *map(column, row))).values(row))
