"""The commands, as a person types them."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from app import create_app, read_settings
from app.store import Store
from tests import servers
from tests.client import chat
from tests.processes import ROOT, Processes, Simulator, command, environment_without, procfile
from tests.servers import Server
from tests.store.stores import FIRST, SECOND, THIRD, everything, query, settings
from tests.store.supabase import ADA, BOB, EVE, make_profiles

pytestmark = pytest.mark.usefixtures("_no_authorities")

KEY = "gsk_a-canary-of-the-profile"
VALUE_SENTENCE = "Error: groq_api_key must be 1 to 500 visible ASCII characters without a space.\n"

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """What runs a command, on an SQLite database unless `DATABASE_URL` is another: without a process of its own."""

    def run_one(*arguments: str, said: str = "", **variables: str) -> Result:
        app = create_app(read_settings({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db", **variables}))
        result = app.test_cli_runner().invoke(args=arguments, input=said, env=variables)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "canary" not in result.output
        return result

    return run_one


def flask(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as it is typed, in a process of its own."""
    line = [*command("flask --app wsgi"), *arguments]
    environment = environment_without(variables)
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stdout + done.stderr
    return done


def test_a_server_does_not_load_the_commands(tmp_path: Path) -> None:
    look = "import sys, wsgi; print(*{'app.application', 'app.commands'} & {*sys.modules})"
    environment = environment_without({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db"})
    line = [sys.executable, "-c", look]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "app.application\n"


def test_a_setting_is_read_from_standard_input_and_never_shown(run: Run) -> None:
    done = run("profile", "set", "groq_api_key", said=f"{KEY}\n")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "groq_api_key is set.\n", "")
    shown = run("profile", "show", MISTRAL_API_KEY="mistral-canary")
    lines = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    found = [lines[name] for name in ("groq_api_key", "mistral_api_key", "openai_api_key")]
    assert found == ["profile", "MISTRAL_API_KEY", "-"]
    assert run("profile", "unset", "groq_api_key").stdout == "groq_api_key is removed.\n"
    assert run("profile", "unset", "groq_api_key").stdout == "groq_api_key was not set.\n"


def test_a_setting_is_asked_for_at_a_terminal_without_an_echo(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    line = command("flask --app wsgi profile set groq_api_key")
    environment = environment_without({"DATABASE_URL": f"sqlite:///{tmp_path}/sluice.db"})
    with subprocess.Popen(
        line, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        while b"groq_api_key: " not in shown:
            shown += os.read(ours, 1000)
        os.write(ours, f"{KEY}\n".encode())
        while b"is set" not in shown:
            shown += os.read(ours, 1000)
        assert process.wait(10) == 0
    os.close(ours)
    assert KEY.encode() not in shown


def test_who_wins_is_said(run: Run) -> None:
    said = {
        policy: run("profile", "set", "groq_api_key", said=KEY, GROQ_API_KEY="x", KEY_POLICY=policy).stdout
        for policy in ("environment-first", "profile-first", "environment-only")
    }
    wins = "groq_api_key is set.\nGROQ_API_KEY is set in the environment too, and wins.\n"
    assert list(said.values()) == [wins, "groq_api_key is set.\n", wins]
    shown = {policy: run("profile", "show", GROQ_API_KEY="x", KEY_POLICY=policy).stdout for policy in said}
    lines = [re.findall(r"^groq_api_key +(.*)$", text, re.MULTILINE) for text in shown.values()]
    assert lines == [["GROQ_API_KEY wins over profile"], ["profile wins over GROQ_API_KEY"], ["GROQ_API_KEY"]]


def test_what_goes_with_a_key_is_told_as_it_is_used(run: Run) -> None:
    """An endpoint is used from where its key is; the name of a deployment from either."""
    endpoint, deployment = "azure_openai_endpoint", "azure_openai_35_turbo_id"
    used = [
        # The variables, the policy, and what is told of the profile's endpoint and of its deployment.
        ({}, "environment-first", "profile", "profile"),
        ({"AZURE_OPENAI_API_KEY": "x"}, "environment-first", "-", "profile"),
        ({"AZURE_OPENAI_API_KEY": "x"}, "profile-first", "-", "profile"),
        ({"AZURE_OPENAI_ENDPOINT": "https://x"}, "environment-first", "profile", "profile"),
        (
            {"AZURE_OPENAI_API_KEY": "x", "AZURE_OPENAI_ENDPOINT": "https://x", "AZURE_GPT_35_TURBO_NAME": "x"},
            "environment-first",
            "AZURE_OPENAI_ENDPOINT",
            "AZURE_GPT_35_TURBO_NAME wins over profile",
        ),
    ]
    run("profile", "set", deployment, said="mine")
    for variables, policy, *told in used:
        done = run("profile", "set", endpoint, said="https://one.openai.azure.com", KEY_POLICY=policy, **variables)
        wins = f"{told[0]} is set in the environment too, and wins.\n" if told[0] in variables else ""
        assert done.stdout == f"{endpoint} is set.\n{wins}"
        lines = run("profile", "show", KEY_POLICY=policy, **variables).stdout.splitlines()
        shown = dict(line.split(maxsplit=1) for line in lines)
        assert [shown[endpoint], shown[deployment]] == told


@pytest.mark.parametrize("said", ["", " \n", "two\nlines", "a\x1bkey", "schlüssel", "x" * 501])
def test_what_cannot_be_a_value_is_refused(run: Run, said: str) -> None:
    done = run("profile", "set", "groq_api_key", said=said)
    assert (done.exit_code, done.stderr) == (1, VALUE_SENTENCE)


def test_an_unknown_setting_is_refused_with_those_that_are_known(run: Run) -> None:
    done = run("profile", "set", "groq_base_url", said=KEY)
    assert done.exit_code == 2
    assert "'groq_api_key'" in done.stderr


def test_a_key_that_goes_with_its_endpoint_is_told(run: Run) -> None:
    gone = "azure_openai_api_key is removed with it: a key is sent to no endpoint but the one it was set for.\n"
    run("profile", "set", "azure_openai_api_key", said=KEY)
    said = "https://one.openai.azure.com"
    assert run("profile", "set", "azure_openai_endpoint", said=said).stdout == f"azure_openai_endpoint is set.\n{gone}"
    assert "azure_openai_api_key         -" in run("profile", "show").stdout
    run("profile", "set", "azure_openai_api_key", said=KEY)
    assert run("profile", "set", "azure_openai_endpoint", said=said).stdout == "azure_openai_endpoint is set.\n"
    assert run("profile", "unset", "azure_openai_endpoint").stdout == f"azure_openai_endpoint is removed.\n{gone}"


def test_a_profile_is_that_of_the_local_or_a_named_user(run: Run, tmp_path: Path) -> None:
    run("profile", "set", "groq_api_key", "--user", "ada", said=KEY)
    run("profile", "set", "mistral_api_key", said=KEY)
    assert "mistral_api_key              -" in run("profile", "show", "--user", "ada").stdout
    assert "groq_api_key                 profile" in run("profile", "show", "--user", "ada").stdout
    assert "groq_api_key                 -" in run("profile", "show").stdout
    assert run("profile", "unset", "groq_api_key").stdout == "groq_api_key was not set.\n"
    assert run("profile", "unset", "groq_api_key", "--user", "ada").stdout == "groq_api_key is removed.\n"
    users = query(f"sqlite:///{tmp_path}/sluice.db", "SELECT user_id FROM profiles ORDER BY user_id")
    assert users == [("ada",), ("local",)]


@pytest.mark.parametrize("user", ["", " ada", "ada\n", "a\0da", "a\u202eda", "x" * 201])
def test_what_cannot_be_a_user_is_refused(run: Run, user: str) -> None:
    for line in (["profile", "show"], ["token", "create"]):
        done = run(*line, "--user", user)
        assert done.exit_code == 2
        assert "must be 1 to 200 printable characters." in done.stderr


def test_a_database_that_cannot_be_used_is_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    url = f"sqlite:///{tmp_path}/file/sluice.db"
    sentence = "The profiles cannot be read at the moment. Please try again in a few seconds."
    for line in (["profile", "show"], ["token", "list"], ["vault", "rotate"], ["token", "create", "--user", "ada"]):
        done = run(*line, DATABASE_URL=url)
        assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: {sentence}\n")
    done = run("migrate", DATABASE_URL=url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: The database cannot be migrated: ")


def test_a_wrong_setting_is_a_sentence(tmp_path: Path) -> None:
    done = flask("migrate", DATABASE_URL=f"sqlite:///{tmp_path}/sluice.db", MAX_STREAMS="many")
    assert done.returncode != 0
    assert "MAX_STREAMS must be a whole number above 0, not 'many'." in done.stderr


def test_the_release_line_may_run_again(postgres_url: str) -> None:
    environment = environment_without({"DATABASE_URL": postgres_url, "VAULT_KEYS": FIRST})
    with opened(postgres_url) as store:
        store.profiles.set("ada", "groq_api_key", KEY)
    done = subprocess.run(procfile("release"), cwd=ROOT, env=environment, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"The database is up to date.\n", b"")
    with opened(postgres_url) as store:
        assert store.profiles.settings("ada") == {"groq_api_key": KEY}


def test_a_token_stands_alone_on_standard_output(tmp_path: Path, run: Run) -> None:
    done = flask("token", "create", "--user", "ada", DATABASE_URL=f"sqlite:///{tmp_path}/sluice.db")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert re.fullmatch(r"sluice_[A-Za-z0-9_-]{43}\n", done.stdout)
    said = re.fullmatch(r"The token of ada, which is shown only now; its id is ([0-9a-f]{8}):\n", done.stderr)
    assert said
    assert done.stdout.strip().encode() not in everything(f"sqlite:///{tmp_path}/sluice.db")
    listed = run("token", "list").stdout
    assert re.fullmatch(rf"{said[1]}  made 20\d\d-\d\d-\d\d \d\d:\d\d  used never  +ada\n", listed)
    revoked = run("token", "revoke", said[1])
    assert (revoked.exit_code, revoked.stdout) == (
        0,
        f"Token {said[1]} is revoked; it stops working within 10 seconds.\n",
    )
    assert re.search(r"  revoked 20\d\d-\d\d-\d\d \d\d:\d\d +ada\n", run("token", "list").stdout)
    for name in (said[1], "nothing", "' OR 1=1"):
        again = run("token", "revoke", name)
        assert (again.exit_code, again.stdout) == (1, "")
        assert again.stderr.endswith(" that could be revoked. `token list` shows all.\n")


def test_a_rotation_is_counted_and_what_is_locked_is_an_error(run: Run) -> None:
    for name, key in (("groq_api_key", FIRST), ("mistral_api_key", FIRST), ("openai_api_key", THIRD)):
        run("profile", "set", name, said=KEY, VAULT_KEYS=key)
    done = run("vault", "rotate", VAULT_KEYS=f"{SECOND},{FIRST}")
    assert (done.exit_code, done.stdout, done.stderr) == (
        1,
        "2 settings are encrypted anew, 0 were already.\n",
        "Error: 1 settings cannot be decrypted: a key is missing in VAULT_KEYS.\n",
    )
    done = run("vault", "rotate", VAULT_KEYS=f"{SECOND},{THIRD}")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "1 settings are encrypted anew, 2 were already.",
        "The other keys can be removed from VAULT_KEYS, once every process has the first one.",
    ]
    assert run("vault", "rotate", VAULT_KEYS=SECOND).stdout.startswith("0 settings are encrypted anew, 3 were ")


def test_with_the_wrong_key_settings_are_shown_and_set_anew(run: Run) -> None:
    run("profile", "set", "groq_api_key", said=KEY, VAULT_KEYS=FIRST)
    assert "groq_api_key                 profile" in run("profile", "show", VAULT_KEYS=SECOND).stdout
    assert run("profile", "set", "groq_api_key", said=KEY, VAULT_KEYS=SECOND).exit_code == 0
    assert run("vault", "rotate", VAULT_KEYS=SECOND).exit_code == 0


HERS = {
    "groq_api_key": "gsk_canary-of-ada",
    "openai_api_key": " sk-canary-of-ada\n",
    "azure_openai_endpoint": "http://169.254.169.254/canary",
    "mistral_api_key": "two words-canary",
    "azure_openai_api_key": "x" * 501,
}
HIS = {"groq_api_key": "gsk_canary-of-bob", "azure_openai_35_turbo_id": "his deployment", "anthropic_api_key": "canary"}
FIRST_TIME = [
    "3 profiles were read: 3 settings are new here, 1 gave way to what is here.",
    "3 settings were left out, because no provider could be asked with them.",
]
SECOND_TIME = ["3 profiles were read: 0 settings are new here, 4 gave way to what is here.", FIRST_TIME[1]]


def test_users_of_chatbot_ui_move_in_and_keep_their_changes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "supabase").mkdir()
    theirs, ours = f"sqlite:///{tmp_path}/supabase/postgres.db", f"sqlite:///{tmp_path}/sluice.db"
    make_profiles(theirs, {ADA: HERS, BOB: HIS, EVE: {}})
    keys = {"VAULT_KEYS": FIRST}
    run("profile", "set", "groq_api_key", "--user", BOB, said="gsk_his-own", **keys)
    done = run("profile", "import-chatbot-ui", theirs, **keys)
    assert (done.exit_code, done.stdout.splitlines(), done.stderr) == (0, FIRST_TIME, "")
    with opened(ours) as store:
        assert store.profiles.settings(ADA) == {
            "groq_api_key": "gsk_canary-of-ada",
            "openai_api_key": "sk-canary-of-ada",
        }
        assert store.profiles.settings(BOB) == {
            "groq_api_key": "gsk_his-own",
            "azure_openai_35_turbo_id": "his deployment",
        }
        assert store.profiles.unset(ADA, "groq_api_key")
        store.profiles.set(ADA, "groq_api_key", "gsk_her-own")
    before = query(ours, "SELECT * FROM profiles, settings ORDER BY 1, 2, 3, 4, 5, 6")
    done = run("profile", "import-chatbot-ui", CHATBOT_UI_DATABASE_URL=theirs, **keys)
    assert (done.exit_code, done.stdout.splitlines()) == (0, SECOND_TIME)
    assert query(ours, "SELECT * FROM profiles, settings ORDER BY 1, 2, 3, 4, 5, 6") == before
    assert b"canary" not in everything(ours)


def test_they_move_from_postgres_to_postgres(postgres: Server, postgres_url: str) -> None:
    with servers.database(postgres) as theirs:
        make_profiles(theirs, {ADA: HERS, BOB: HIS, EVE: {}})
        with opened(postgres_url) as store:
            store.profiles.set(BOB, "groq_api_key", "gsk_his-own")
        variables = {"DATABASE_URL": postgres_url, "VAULT_KEYS": FIRST}
        done = flask("profile", "import-chatbot-ui", theirs.replace("postgresql", "postgres", 1), **variables)
        assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, FIRST_TIME, "")
    with opened(postgres_url) as store:
        assert store.profiles.settings(BOB) == {
            "groq_api_key": "gsk_his-own",
            "azure_openai_35_turbo_id": "his deployment",
        }


@contextmanager
def opened(url: str) -> Iterator[Store]:
    store = Store(settings(url, FIRST))
    yield store
    store.database.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense-canary", "This is not the address of a database."),
        ("sqlite:///{folder}/none.db", "This database has no table `profiles`."),
        ("sqlite:///{folder}/sluice.db", "The table `profiles` of this database is not chatbot-ui's."),
        ("postgres://ada:canary@127.0.0.1:1/postgres", "The database cannot be read (OperationalError)."),
    ],
)
def test_a_database_without_chatbot_ui_is_a_sentence(run: Run, tmp_path: Path, url: str, sentence: str) -> None:
    done = run("profile", "import-chatbot-ui", url.format(folder=tmp_path))
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: {sentence}\n")


def test_a_key_set_while_the_service_runs_is_used_at_once(
    processes: Processes, environment: Mapping[str, str], simulator: Simulator
) -> None:
    ours = {name: value for name, value in environment.items() if name != "GROQ_API_KEY"}
    service = processes.fresh_service(ours)
    assert chat(service, "groq", "demo").json()["code"] == "missing_key"
    service.profile_set("groq_api_key", KEY)
    assert chat(service, "groq", "demo").status == 200
    assert dict(simulator.requests()[-1]["headers"])["authorization"] == f"Bearer {KEY}"
    assert KEY not in service.log.read_text()
