"""Run by Alembic, over the connection and with the tables that `migrate` hands it."""

from alembic import context

context.configure(**context.config.attributes, render_as_batch=True)

with context.begin_transaction():
    context.run_migrations()
