"""docs/mounting.md: each example as it stands there, started by the line that stands there, and used by browsers."""

import json
import re
import signal
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urljoin

import pytest
from flask import Request

from app import create_app
from app.config import Settings
from app.simulator import words
from tests.client import read
from tests.mounting import hosts
from tests.mounting.browser import Browser
from tests.mounting.hosts import DJANGO, FLASK, PACKAGE, WSGI, Host
from tests.mounting.installed import Environment
from tests.processes import Simulator, opened, wait_for

HOSTS = {"flask": FLASK, "django": DJANGO, "wsgi": WSGI, "package": PACKAGE}
PACKAGE_TOO = pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS, indirect=True)
ONLY_FLASK = pytest.mark.parametrize("host", [FLASK], ids=["flask"], indirect=True)
ONLY_DJANGO = pytest.mark.parametrize("host", [DJANGO], ids=["django"], indirect=True)
OTHER_SITES: Mapping[str, Mapping[str, str]] = {
    "site": {"Sec-Fetch-Site": "cross-site"},
    "origin": {"Origin": "https://evil.example"},
    "sandbox": {"Origin": "null"},
    "unknown": {},
}


@pytest.fixture(scope="module")
def provider(simulator: Simulator) -> Mapping[str, str]:
    """An environment without a key of the operator's."""
    return {"OPENAI_BASE_URL": f"{simulator.url}/openai/v1", "DRAIN_SECONDS": "1"}


@pytest.fixture(scope="module", params=[FLASK, DJANGO, WSGI], ids=["flask", "django", "wsgi"])
def host(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    from_wheel: Environment,
    provider: Mapping[str, str],
) -> Iterator[Host]:
    """Each example, made and started once, in an environment that Sluice is installed into."""
    folder = tmp_path_factory.mktemp("host")
    hosts.make(request.param, from_wheel, folder)
    with hosts.running(request.param, from_wheel, folder, provider) as found:
        yield found


def test_pages_of_the_host_stay_with_the_host(host: Host) -> None:
    alice = host.browser("alice")
    assert "alice" in text(alice, host.example.home)
    assert "alice" not in text(host.browser(), host.example.home)
    assert not alice.get("/sluiced").headers["Content-Type"].startswith("application/json")
    assert alice.get("/sluice/nothing").json()["code"] == "not_found"


def test_everything_that_the_page_loads_is_below_the_prefix(host: Host) -> None:
    browser = host.browser()
    (page, script) = ("/sluice/", "/sluice/static/page.js")
    loaded = {urljoin(page, name) for name in re.findall(r'(?:href|src)="([^":]+)"', text(browser, page))}
    loaded |= {urljoin(script, name) for name in re.findall(r'from "([^"]+)"', text(browser, script))}
    types = {address: browser.get(address).headers["Content-Type"].partition(";")[0] for address in loaded}
    assert script in types
    assert set(types.values()) == {"text/css", "text/javascript"}, types
    assert browser.get("/sluice").headers["Location"] in (page, "sluice/")


def text(browser: Browser, path: str) -> str:
    return browser.get(path).body.decode()


@PACKAGE_TOO
def test_an_answer_is_streamed_to_a_user_of_the_host(host: Host) -> None:
    alice = host.browser("alice")
    assert alice.set_key("sk-of-alice-canary").status == 200

    def is_paced() -> bool:
        reply = alice.chat("demo@pace-60@events-8")
        assert (reply.status, reply.cut, reply.body.decode()) == (200, False, "".join(words(8)))
        return reply.is_spread(4, 7 * 0.06 * 0.8)

    assert any(is_paced() for _ in range(3)), "joined, or held back and sent at once"
    assert wait_for(lambda: f'"user":"{host.example.ids[0]}"' in host.service.log.read_text())


@PACKAGE_TOO
def test_a_cut_answer_shows_that_it_is_cut(host: Host) -> None:
    alice = host.browser("alice")
    alice.set_key("sk-of-alice-canary")
    reply = alice.chat("demo@cut-3")
    assert (reply.status, reply.cut) == (200, True)
    assert reply.body.decode().startswith(f"{''.join(words(3))}\n\n[This answer is incomplete. ")


@PACKAGE_TOO
def test_a_reader_who_leaves_closes_the_provider_connection(host: Host, simulator: Simulator) -> None:
    alice, marker = host.browser("alice"), uuid.uuid4().hex
    alice.set_key("sk-of-alice-canary")
    with alice.begin(f"{marker}@stall-3") as response:
        assert response.read1(1)
    assert wait_for(lambda: simulator.received(marker)["closed"]) == "client"


def test_nobody_is_served_before_the_login_or_after_the_logout(host: Host, simulator: Simulator) -> None:
    browser, marker = host.browser(), uuid.uuid4().hex
    assert browser.chat(marker).json()["code"] == "unauth"
    host.example.log_in(browser, "alice")
    assert browser.get("/sluice/api/profile").status == 200
    assert host.example.log_out(browser).status == 200
    assert [browser.chat(marker).status, browser.get("/sluice/api/profile").status] == [401, 401]
    assert marker not in json.dumps(simulator.requests())


def test_a_cookie_that_the_host_did_not_make_is_no_login(host: Host) -> None:
    alice = host.browser("alice")
    for cookie in alice.cookies:
        cookie.value = f"{(cookie.value or '')[:-4]}AAAA"
    assert alice.get("/sluice/api/profile").status == 401


def test_the_key_of_each_user_goes_with_chats_of_that_user(host: Host, simulator: Simulator) -> None:
    people = {name: host.browser(name) for name in ("alice", "bob")}
    for name, browser in people.items():
        assert browser.set_key(f"sk-of-{name}-canary").status == 200
    states = [browser.state() for browser in people.values()]
    assert tuple(state["user"] for state in states) == host.example.ids
    assert [(state["source"], state["lastFour"]) for state in states] == [("profile", "nary")] * 2
    asked = [(name, f"{name}-{uuid.uuid4().hex}") for name in [*people] * 4]
    with ThreadPoolExecutor(3) as pool:  # one less than a user may have at once
        assert {reply.status for reply in pool.map(lambda one: people[one[0]].chat(one[1]), asked)} == {200}
    for name, marker in asked:
        assert ["authorization", f"Bearer sk-of-{name}-canary"] in simulator.received(marker)["headers"]


@pytest.mark.parametrize("headers", OTHER_SITES.values(), ids=OTHER_SITES)
def test_a_page_of_another_site_cannot_use_the_login(
    host: Host, simulator: Simulator, headers: Mapping[str, str]
) -> None:
    alice, marker = host.browser("alice"), uuid.uuid4().hex
    alice.set_key("sk-of-alice-canary")
    refused = alice.chat(marker, headers)
    assert (refused.status, refused.json()["code"]) == (403, "forbidden_origin")
    assert alice.set_key("sk-of-mallory-end", headers).status == 403
    assert alice.state()["lastFour"] == "nary"
    assert marker not in json.dumps(simulator.requests())


def test_a_page_of_the_host_is_known_by_its_origin_too(host: Host) -> None:
    alice = host.browser("alice")
    alice.set_key("sk-of-alice-canary")
    assert alice.chat("demo", {"Origin": f"http://127.0.0.1:{host.service.port}"}).status == 200


def test_a_drain_lets_answers_finish_and_cuts_endless_ones(host: Host, provider: Mapping[str, str]) -> None:
    with hosts.running(host.example, host.environment, host.folder, provider) as leaving:
        alice = leaving.browser("alice")
        alice.set_key("sk-of-alice-canary")
        short, endless = (alice.begin(f"demo@{fault}") for fault in ("pace-60@events-8", "endless"))
        leaving.service.process.send_signal(signal.SIGTERM)
        whole, cut = read(short), read(endless)
        assert leaving.service.process.wait(10) == 0
    assert (whole.cut, whole.body.decode()) == (False, "".join(words(8)))
    assert cut.cut
    assert "Traceback" not in host.service.log.read_text()


@ONLY_DJANGO
def test_no_django_connection_is_open_during_a_stream(host: Host) -> None:
    alice = host.browser("alice")
    alice.set_key("sk-of-alice-canary")
    with alice.begin("demo@endless") as response:
        assert response.read1(1)
        (worker,) = host.service.pids()[1:]
        files = opened(worker)
    assert not [file for file in files if "db.sqlite3" in file]


@ONLY_DJANGO
@pytest.mark.parametrize("change", ["is_active = 0", "password = 'another'"])
def test_whom_django_shuts_out_is_shut_out_at_once(host: Host, change: str) -> None:
    bob = host.browser("bob")
    assert bob.get("/sluice/api/profile").status == 200
    with closing(sqlite3.connect(host.folder / "db.sqlite3")) as database:
        before = database.execute("SELECT is_active, password FROM auth_user WHERE username = 'bob'").fetchone()
        with database:
            database.execute(f"UPDATE auth_user SET {change} WHERE username = 'bob'")  # noqa: S608 - our own
        assert bob.get("/sluice/api/profile").status == 401
        with database:
            database.execute("UPDATE auth_user SET is_active = ?, password = ? WHERE username = 'bob'", before)


@ONLY_DJANGO
def test_a_django_session_outlives_a_new_secret_key(host: Host, provider: Mapping[str, str]) -> None:
    """Whoever asks Sluice first must not lose the session that Django would have gone on with."""
    alice = host.browser("alice")
    rotated = "from mysite.settings import *\nSECRET_KEY_FALLBACKS = [SECRET_KEY]\nSECRET_KEY = 'another'\n"
    (host.folder / "mysite" / "rotated.py").write_text(rotated)
    settings = {**provider, "DJANGO_SETTINGS_MODULE": "mysite.rotated"}
    with hosts.running(host.example, host.environment, host.folder, settings) as restarted:
        alice.port = restarted.service.port
        assert [alice.get("/sluice/api/profile").status for _ in range(2)] == [200, 200]
        assert "alice" in text(alice, host.example.home)


@ONLY_FLASK
def test_commands_of_sluice_work_in_the_host(host: Host) -> None:
    done = host.environment.run("flask --app app:sluice doctor", host.folder, {"SECRET_KEY": "made up"})
    assert "Login: the application around this one decides who asks." in done.stdout, done.stderr


def test_the_function_is_asked_with_every_request(tmp_path: Path) -> None:
    answers = iter(["alice", None, "bob"])
    client = create_app(_settings(tmp_path), lambda _: next(answers)).test_client()
    replies = [client.get("/api/profile") for _ in range(3)]
    assert [reply.get_json().get("user") for reply in replies] == ["alice", None, "bob"]


def test_an_exception_of_the_function_is_a_500_and_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def identify(_: Request) -> str:
        raise LookupError("the host's own mistake")

    reply = create_app(_settings(tmp_path), identify).test_client().get("/api/profile")
    assert (reply.status_code, reply.get_json()["code"]) == (500, "internal")
    assert "the host's own mistake" in caplog.text
    assert "the host's own mistake" not in reply.text


@pytest.mark.parametrize(("user", "status"), [("x" * 200, 200), ("x" * 201, 500), ("", 500), ("a\nb", 500)])
def test_an_id_is_a_string_of_at_most_200_printable_characters(tmp_path: Path, user: str, status: int) -> None:
    client = create_app(_settings(tmp_path), lambda _: user).test_client()
    assert client.get("/api/profile").status_code == status


def _settings(folder: Path) -> Settings:
    return Settings(database_url=f"sqlite:///{folder}/sluice.db")
