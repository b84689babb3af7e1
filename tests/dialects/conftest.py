"""The scripted provider of the tests of `upstream`."""

from tests.upstream.conftest import server

__all__ = ["server"]
