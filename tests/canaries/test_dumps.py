"""Copies of what is kept: dumps, files and logs of the databases. A user's id, which is no secret, is found in each."""

import sqlite3
from contextlib import closing

import pytest
import redis

from tests.canaries.house import House
from tests.canaries.marks import Canary, canary, found
from tests.canaries.mirror import ANSWER
from tests.login.identity import hs256, token
from tests.servers import Server
from tests.store.stores import everything, query


def control(house: House) -> Canary:
    """Have a user who has asked something, and whose id would be found everywhere if it were a secret."""
    user = canary("the control")
    if "AUTH_JWT_SECRET" in house.canaries:
        house.logins["control"] = token(hs256(house.canaries["AUTH_JWT_SECRET"].value), sub=user.value)
    else:
        house.logins["control"] = house.run("token", "create", "--user", user.value).stdout.decode().strip()
        house.told.pop(-2)  # which is the token
    assert house.chat("openai", "the key beside the text", user="control").text() == ANSWER
    assert house.ask("GET", "/api/profile", user="control").json()["user"] == user.value
    return user


def replace_and_remove(house: House) -> None:
    """Leave nothing of some secrets but what a database does not clear away."""
    for name in ("openai_api_key", "groq_api_key", "mistral_api_key"):
        assert house.put(name, house.add(f"{name} that was replaced")).status == 200
        house.ask("DELETE", f"/api/profile/settings/{name}")
        assert house.put(name, house.canaries[name].value).status == 200


def sqlite_copies(house: House) -> dict[str, bytes]:
    """Return a dump, and the files."""
    with closing(sqlite3.connect(house.service.database)) as database:
        dump = "\n".join(database.iterdump()).encode()
    files = [path for path in house.folder.glob(f"{house.service.database.name}*") if path != house.key_file]
    return {"dump": dump, "files": b"".join(path.read_bytes() for path in files)}


def postgres_copies(house: House, server: Server) -> dict[str, bytes]:
    """Return a dump, and the files of our database with the log of all that was written."""
    url = house.settings["DATABASE_URL"]
    query(url, "CHECKPOINT")
    ((number,),) = query(url, "SELECT oid FROM pg_database WHERE datname = current_database()")
    folders = [server.folder / "data" / name for name in (f"base/{number}", "global", "pg_wal", "pg_stat")]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {"dump": everything(url), "files": b"".join(path.read_bytes() for path in files)}


def redis_copies(house: House, server: Server) -> dict[str, bytes]:
    """Return its dump, in which what was put there must be, or it is another's."""
    with redis.Redis.from_url(house.settings["REDIS_URL"]) as client:
        client.set("a control", "a control")
        client.save()
        client.delete("a control")
    dump = (server.folder / "dump.rdb").read_bytes()
    assert b"a control" in dump
    return {"Redis": dump}


def test_no_copy_of_what_is_kept_holds_a_secret(house: House, request: pytest.FixtureRequest) -> None:
    replace_and_remove(house)
    user, others = control(house), {}
    if "REDIS_URL" in house.settings:
        stores: list[Server] = [request.getfixturevalue(name) for name in ("postgres", "redis_server")]
        copies = postgres_copies(house, stores[0])
        others = redis_copies(house, stores[1]) | {f"log of {store.port}": store.log().encode() for store in stores}
    else:
        copies = sqlite_copies(house)
    told = b"".join(data for _, data in house.told)
    searched = {**copies, "answers and commands": told, "log": house.service.log.read_bytes()}
    assert [name for name, data in searched.items() if not found(data, [user])] == []
    secrets = house.canaries.values()
    hits = [f"{name}: {hit}" for name, data in (copies | others).items() for hit in found(data, secrets)]
    assert not hits, "\n".join(hits)
