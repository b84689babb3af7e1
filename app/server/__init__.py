"""gunicorn as Sluice needs it: how it reads requests, what it gives up, its log, its drain. See gunicorn.conf.py."""
