"""Run by Alembic, over the connection that `app.store.migrate` hands it."""

from alembic import context

from app.store.tables import metadata

context.configure(**context.config.attributes, target_metadata=metadata, render_as_batch=True)

with context.begin_transaction():
    context.run_migrations()
