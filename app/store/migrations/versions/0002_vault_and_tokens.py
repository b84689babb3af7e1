"""Settings are encrypted, and users have tokens."""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

settings = sa.table("settings", sa.column("user_id"), sa.column("name"), sa.column("value"))


def upgrade() -> None:
    """Make the table of tokens, and encrypt what is there."""
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("user_id", sa.String(200), sa.ForeignKey("profiles.user_id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
    _replace(op.get_context().opts["vault"].seal)


def downgrade() -> None:
    """Drop the tokens, and decrypt the settings."""
    _replace(op.get_context().opts["vault"].open)
    op.drop_table("tokens")


def _replace(change: Callable[[str, str, str], str]) -> None:
    connection = op.get_bind()
    for user, name, value in connection.execute(sa.select(settings)).all():
        row = (settings.c.user_id == user) & (settings.c.name == name)
        connection.execute(settings.update().where(row).values(value=change(user, name, value)))
