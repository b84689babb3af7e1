"""The WSGI application: `gunicorn wsgi:app`, `flask --app wsgi`."""

from app.wsgi import app, application

__all__ = ["app", "application"]
