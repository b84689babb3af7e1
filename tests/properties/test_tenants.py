"""Two users and two hundred streams: whatever they do at once, no key of one's goes with the other's chat.

A plan is a few kinds of lanes, which are repeated until there are enough of them.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from cryptography.fernet import Fernet
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app import config
from app.store import Store
from tests import servers
from tests.processes import Processes

from .tenants import HOSTS, LANES, MODEL, PROVIDERS, SECONDS, USERS, Answer, Asked, House, Provider, Step, key

EXAMPLES = max(settings().max_examples // 50, 1)
KEYS = 3
"""How many keys a user has for a provider; one at a time is in the profile, or none."""
SHARED = {"openai": "key-of-everybody"}
"""What the environment has, in one of the houses."""

steps = st.builds(
    Step,
    st.sampled_from(USERS),
    st.sampled_from(PROVIDERS),
    st.sampled_from(["chat", "chat", "chat", "leave", "show", "remove", *map(str, range(KEYS))]),
    st.sampled_from(["*/*", "text/event-stream"]),
    is_held=st.just(value=False),
)
plans = st.lists(st.lists(steps, min_size=1, max_size=4), min_size=4, max_size=10)


def is_own(asked: Asked, shared: Mapping[str, str]) -> bool:
    """Tell whether a question came with nothing but what is its user's, or everybody's."""
    user, headers = asked.text.split()[0], {name.lower(): value for name, value in asked.headers.items()}
    is_azure, is_shared = asked.provider == "azure", asked.provider in shared
    credentials = (headers.get("authorization"), headers.get("api-key"))
    keys = [shared[asked.provider]] if is_shared else [key(user, asked.provider, number) for number in range(KEYS)]
    organization = f"organization-of-{user}" if asked.provider == "openai" and not is_shared else None
    model = f"deployment-of-{user}" if is_azure else MODEL
    return (
        asked.model == model
        and credentials in [(None, one) if is_azure else (f"Bearer {one}", None) for one in keys]
        and headers.get("openai-organization") == organization
        and (headers["host"].split(":")[0] == HOSTS[user] or not is_azure)
    )


def is_right(answer: Answer, shared: Mapping[str, str]) -> bool:
    """Tell whether an answer is its own user's, or says that the key is gone or the database busy."""
    step = answer.step
    if f"{USERS[step.user == USERS[0]]} " in answer.body:
        return False
    if answer.status != 200:
        return answer.json()["code"] in ("missing_key", "db_unavailable")
    if step.does in ("chat", "leave"):
        return answer.asked in answer.body and answer.source == (
            "environment" if step.provider in shared else "profile"
        )
    if step.does == "show":
        shown = answer.json()
        ends = {setting["lastFour"] for setting in shown["settings"]}
        return shown["user"].startswith(f"{step.user}-") and ends <= {None, key(step.user, "openai")[-4:]}
    return True


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[asyncio.Runner, Provider, int]]:
    """The loop, and in it the provider."""
    with asyncio.Runner() as loop, socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        provider = Provider()
        server = loop.run(asyncio.start_server(provider.serve, sock=listener))
        yield loop, provider, listener.getsockname()[1]
        server.close()
        loop.run(asyncio.sleep(0.1))  # in which it sees that the services have gone


@pytest.fixture(scope="module", params=["sqlite", "a shared key", "postgres"])
def house(
    request: pytest.FixtureRequest, processes: Processes, stage: tuple[asyncio.Runner, Provider, int]
) -> Iterator[House]:
    """Two workers, with a profile of each user's on either database, or a key in the environment besides."""
    loop, provider, port = stage
    environment = {
        "WEB_CONCURRENCY": "2",
        "VAULT_KEYS": Fernet.generate_key().decode(),
        "ENDPOINT_ALLOWLIST": ",".join(f"http://{host}:{port}" for host in HOSTS.values()),
        **{f"{name.upper()}_BASE_URL": f"http://127.0.0.1:{port}/{name}/v1" for name in PROVIDERS[:3]},
    }
    shared = SHARED if request.param == "a shared key" else {}
    environment |= {f"{name.upper()}_API_KEY": value for name, value in shared.items()}
    with ExitStack() as stack:
        if request.param == "postgres":
            server = request.getfixturevalue("postgres")
            environment["DATABASE_URL"] = stack.enter_context(servers.database(server))
        service = processes.fresh_service(environment)
        settings = {"DATABASE_URL": f"sqlite:///{service.database}", **environment}
        store = Store(config.read(settings))
        stack.callback(store.database.close)
        yield House(service.port, store, shared, loop, provider, port)
        service.process.terminate()
        service.process.wait(SECONDS)


def test_no_key_goes_with_another_user_s_chat(house: House) -> None:
    @given(plans)
    @settings(max_examples=EXAMPLES, phases=[Phase.generate])  # to look for a smaller plan takes too long
    def follow(plan: list[list[Step]]) -> None:
        house.welcome()
        answers = house.loop.run(house.play(plan))
        questions = house.provider.asked
        assert [asked for asked in questions if not is_own(asked, house.shared)] == []
        assert [answer for answer in answers if not is_right(answer, house.shared)] == []
        begun = Counter((asked.text.split()[0], asked.provider) for asked in questions if "hold" in asked.text)
        assert begun == {(user, name): LANES / 8 for user in USERS for name in PROVIDERS}
        assert house.provider.most_held == LANES

    follow()
