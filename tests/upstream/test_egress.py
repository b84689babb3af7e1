"""What an endpoint of a user's may look like, and which addresses are public."""

import ipaddress

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.failure import Failure
from app.upstream import egress
from app.upstream.egress import Origin, check_endpoint, is_listed, is_public, origin_of, require_public

from .addresses import NOT_PUBLIC, PUBLIC, bare

ALLOWED = ("https://gateway.internal:8443", "http://10.1.2.3:8080", "https://one.internal", "http://[fd00::1]")


def refused(url: str, *allowed: str) -> str:
    with pytest.raises(Failure) as failure:
        check_endpoint(url, allowed)
    assert (failure.value.status, failure.value.code) == (400, "blocked_endpoint")
    assert failure.value.message.startswith("The endpoint must ")
    assert failure.value.message.endswith(". Please fix it in your profile settings.")
    return failure.value.message


@pytest.mark.parametrize(
    "url",
    [
        "https://name.openai.azure.com",
        "https://name.openai.azure.com/",
        "HTTPS://Name.OpenAI.Azure.com:443/gateway/openai",
        "https://name.openai.azure.com.",
        "https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
        "https://xn--bcher-kva.example",
        "https://127.0.0.1.nip.io",
        *(f"https://{host}" for host in PUBLIC),
    ],
)
def test_a_public_https_address_will_do(url: str) -> None:
    """Where a name leads is seen when it is connected to."""
    check_endpoint(url, ())


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_a_host_that_is_not_public_is_refused_in_every_spelling(host: str) -> None:
    for url in (f"https://{host}", f"https://{host}:443/openai/v1", f"https://{host}/"):
        refused(url)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "an address"),
        ("name.openai.azure.com", "an address"),
        ("//name.openai.azure.com", "an address"),
        ("https:name.openai.azure.com", "an address"),
        ("https://", "an address"),
        ("https:///path", "an address"),
        ("https://:443", "an address"),
        ("https://[::1", "an address"),
        ("https://999.1.1.1", "an address"),
        ("ftp://name.openai.azure.com", "an address"),
        ("file:///etc/passwd", "an address"),
        ("gopher://name.openai.azure.com", "an address"),
        ("javascript:alert(1)", "an address"),
        ("https://user@name.openai.azure.com", "an address"),
        ("https://user:password@name.openai.azure.com", "an address"),
        ("https://@name.openai.azure.com", "an address"),
        ("https://name.openai.azure.com@10.0.0.1", "an address"),
        ("https://name.openai.azure.com\\@10.0.0.1", "an address"),
        ("https://10.0.0.1\\.openai.azure.com", "an address"),
        ("https://10.0.0.1#.openai.azure.com", "an address"),
        ("https://10.0.0.1?.openai.azure.com", "an address"),
        ("https://name.openai.azure.com?", "an address"),
        ("https://name.openai.azure.com/?x=1", "an address"),
        ("https://name.openai.azure.com/#x", "an address"),
        (" https://name.openai.azure.com", "an address"),
        ("https://name.openai.azure.com ", "an address"),
        ("https://name .openai.azure.com", "an address"),
        ("https://name\t.openai.azure.com", "an address"),
        ("https://name.openai.azure.com/\r\nHost: 10.0.0.1", "an address"),
        ("https://name.openai.azure.com\0.example", "an address"),
        ("https://name\u2028.example", "an address"),
        ("https://\ud800.example", "an address"),
        ("https://name.example/\ud800", "an address"),
        ("https://" + "a" * 70_000 + ".example", "an address"),
        ("https://name.example:x", "an address"),
        ("http://name.openai.azure.com", "begin with https"),
        ("http://name.openai.azure.com:443", "begin with https"),
        ("https://name.openai.azure.com:8443", "port 443"),
        ("https://name.openai.azure.com:80", "port 443"),
        ("https://name.openai.azure.com:22", "port 443"),
        ("https://name.openai.azure.com:0", "port 443"),
        ("https://name.openai.azure.com:99999", "port 443"),
        ("https://8.8.8.8:53", "port 443"),
        ("https://intranet", "a public host"),
        ("https://intranet.", "a public host"),
        ("https://name..example", "a public host"),
        ("https://.example", "a public host"),
        ("https://na_me.example", "a public host"),
        ("https://name.example%00", "a public host"),
        ("https://name%2eexample.test", "a public host"),
        ("https://name.123", "a public host"),
        ("https://name.0x7f", "a public host"),
        ("https://*.example", "a public host"),
    ],
)  # fmt: skip
def test_no_other_address_will_do_and_a_sentence_says_why(url: str, what: str) -> None:
    assert what in refused(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://gateway.internal:8443",
        "https://gateway.internal:8443/azure/",
        "HTTPS://Gateway.INTERNAL:8443",
        "http://10.1.2.3:8080",
        "http://10.1.2.3:8080/openai/v1",
        "https://one.internal",
        "https://one.internal:443/",
        "http://[fd00::1]",
        "http://[fd00::1]:80/",
    ],
)
def test_what_is_allowed_needs_neither_port_443_nor_tls(url: str) -> None:
    check_endpoint(url, ALLOWED)
    assert is_listed(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "https://gateway.internal:8444",
        "http://gateway.internal:8443",
        "https://sub.gateway.internal:8443",
        "https://gateway.internal.evil.example:8443",
        "https://gateway.internal.:8443",
        "https://gateway.internal:8443@evil.example:8443",
        "https://user@gateway.internal:8443",
        "https://gateway.internal:8443?x",
        "https://gateway.internal:8443#x",
        "http://10.1.2.3",
        "http://10.1.2.3:8081",
        "https://10.1.2.3:8080",
        "http://10.1.2.03:8080",
        "http://167838211:8080",
        "http://0x0a.1.2.3:8080",
        "http://[::ffff:10.1.2.3]:8080",
        "http://one.internal",
        "http://[fd00::2]",
        "ftp://10.1.2.3:8080",
    ],
)
def test_only_the_very_origins_that_are_listed_are_allowed(url: str) -> None:
    refused(url, *ALLOWED)


def test_a_listed_origin_allows_nothing_beside_it() -> None:
    assert not is_listed("https://name.openai.azure.com", ALLOWED)
    assert not is_listed("https://gateway.internal", ALLOWED)
    assert not is_listed("no address", ("no address", ""))
    assert not is_listed("https://name.openai.azure.com", ())
    check_endpoint("https://name.openai.azure.com", ALLOWED)


@given(st.text() | st.builds("https://{}{}{}".format, st.text(), st.sampled_from("/:@?#.[]%\\"), st.text()))
def test_whatever_is_not_refused_is_read_alike_by_the_client(url: str) -> None:
    try:
        check_endpoint(url, ALLOWED)
    except Failure:
        return
    seen = origin_of(httpx2.URL(url))
    assert (seen.scheme, seen.port) == ("https", 443) or is_listed(url, ALLOWED)
    assert seen.host.isascii()


# Addresses.


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_what_is_not_a_public_address_is_told(host: str) -> None:
    assert not is_public(bare(host))


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_address_is_told(host: str) -> None:
    assert is_public(bare(host))


@pytest.mark.parametrize("network", [*egress._SPECIAL_4, *egress._SPECIAL_6], ids=str)  # noqa: SLF001 - its whole table
def test_no_address_of_a_special_network_is_public(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
    first, last = network.network_address, network.broadcast_address
    assert not is_public(str(first))
    assert not is_public(str(last))


@given(st.ip_addresses(v=6).filter(lambda address: address not in ipaddress.IPv6Network("2000::/3")))
def test_nothing_of_ipv6_is_public_but_what_is_routed(address: ipaddress.IPv6Address) -> None:
    assert not is_public(str(address))


@given(st.ip_addresses())
def test_what_python_does_not_hold_for_global_is_never_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert address.is_global or not is_public(str(address))


def test_one_address_that_is_not_public_spoils_all() -> None:
    require_public(["8.8.8.8", "2606:4700:4700::1111"])
    with pytest.raises(Failure) as failure:
        require_public(["8.8.8.8", "2606:4700:4700::1111", "127.0.0.1"])
    assert (failure.value.status, failure.value.code) == (400, "blocked_endpoint")
    assert "127.0.0.1" not in failure.value.message


def test_an_origin_has_the_port_that_is_meant() -> None:
    assert origin_of(httpx2.URL("https://A.example/x?y")) == Origin("https", "a.example", 443)
    assert origin_of(httpx2.URL("http://a.example")) == Origin("http", "a.example", 80)
    assert origin_of(httpx2.URL("https://a.example:80")) == Origin("https", "a.example", 80)
    assert origin_of(httpx2.URL("https://a.example:0")) == Origin("https", "a.example", 0)
    assert origin_of(httpx2.URL("https://[::ffff:1.2.3.4]:443")) == Origin("https", "::ffff:1.2.3.4", 443)
