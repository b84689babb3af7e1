"""The proxy: which hosts it serves, where it is, and who asks it."""

from base64 import b64encode

import pytest

from app.proxy import DIRECT, Proxy

URL = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("exceptions", "port", "is_used"),
    [
        ("", 443, True),
        ("other.test, example.org", 443, True),
        ("der.test", 443, True),
        ("provider.test:8443", 443, True),
        ("provider.test:443", 8443, True),
        ("*", 443, False),
        ("provider.test", 443, False),
        (".test", 8443, False),
        ("a.b, provider.test", 443, False),
        ("provider.test:443", 443, False),
    ],
)
def test_a_host_that_is_excepted_is_reached_directly(exceptions: str, port: int, is_used: bool) -> None:  # noqa: FBT001
    assert Proxy(URL, exceptions).serves("https", "provider.test", port) == is_used


def test_only_what_the_proxy_cannot_read_goes_through_it() -> None:
    assert not Proxy(URL, "").serves("http", "provider.test", 80)
    assert not DIRECT.serves("https", "provider.test", 443)


@pytest.mark.parametrize(
    ("url", "address", "credentials"),
    [
        (URL, ("proxy.test", 3128), ""),
        ("http://proxy.test", ("proxy.test", 80), ""),
        ("http://ada:p%40ss@[::1]:3128", ("::1", 3128), "ada:p@ss"),
        ("http://us%40er@proxy.test", ("proxy.test", 80), "us@er:"),
        ("http://:pass@proxy.test", ("proxy.test", 80), ":pass"),
    ],
)
def test_a_url_says_where_it_is_and_who_asks(url: str, address: tuple[str, int], credentials: str) -> None:
    proxy = Proxy(url, "")
    assert proxy.address == address
    known = {"Proxy-Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}
    assert proxy.headers == (known if credentials else {})
