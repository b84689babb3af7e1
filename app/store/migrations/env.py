"""Run by Alembic, with the connection and the tables that `upgrade` passes on."""

from alembic import context

context.configure(**context.config.attributes, render_as_batch=True)

with context.begin_transaction():
    context.run_migrations()
