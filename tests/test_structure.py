"""Rules about the code: who may import whom, and that everything offered is there."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from itertools import zip_longest
from pathlib import Path
from typing import TypeGuard

import pytest

import app
import app.protocols
import app.providers
from app.failure import Code
from app.protocols import PROTOCOLS
from app.providers import PROVIDERS
from tests.processes import ROOT

APP = ROOT / "app"
TESTS = ROOT / "tests"
README = (TESTS / "README.md").read_text()
SUITES = {"contract", "faults", "properties", "canaries"}
FILES = sorted(path for path in APP.rglob("*.py") if "migrations" not in path.parts)
WITH_FLASK = {"application", "login", "cli", "commands", "routes", "streaming"}
WITH_GEVENT = {"gunicorn", "log", "routes", "server", "store", "streaming", "wait"}
GROUND = {"answer", "background", "chat", "config", "failure", "log", "models", "proxy", "wait"}
MAY_IMPORT = {
    # What each room may import of ours, beside itself and the ground. Arrows run one way: from a line to those above.
    **{name: set() for name in GROUND},
    "upstream": set(),
    "dialects": {"upstream"},
    "providers": {"dialects", "upstream"},
    "simulator": {"dialects", "providers"},
    "protocols": set(),
    "record": {"upstream"},
    "streaming": {"record"},
    "store": set(),
    "limits": set(),
    "login": {"store"},
    "routes": {"limits", "login", "protocols", "providers", "record", "store", "streaming", "upstream"},
    "server": {"protocols", "routes", "streaming"},
    "doctor": {"providers", "routes"},
    "commands": {"login", "doctor", "providers", "routes", "store"},
    "cli": {"commands", "wsgi"},  # those below, too, but not before a command is used
    "gunicorn": {"server"},
    "application": {
        "login", "cli", "doctor", "limits", "providers", "record", "routes", "store", "streaming", "upstream",
    },
    "wsgi": {"application", "streaming"},
    "__init__": {"application"},
}  # fmt: skip
MAY_NAME_A_PROVIDER = {
    "README.md": "examples, and the table of the fields, which has a test of its own",
    "CHANGELOG.md": "what users notice",
    "CONTRIBUTING.md": "which providers are patterns for others",
    "app.json": "the variables, which have a test of their own",
    "docs/architecture.md": "the SDK",
    "setup.cfg": "the SDK's package",
    "bench/RESULTS.md": "the SDK and its version",
    "bench/answers.py": "whose events and headers the answers are like",
    "bench/lookup_worker.py": "a profile with keys, and the path of a chat",
    "bench/readers.py": "whose chunks it reads",
    "bench/rivals/litellm.py": "the provider that it asks",
    "bench/rivals/naive.py": "the SDK",
    "bench/rivals/naive_app.py": "the SDK",
    "bench/rivals/pydantic_ai.py": "the SDK",
    "bench/rivals/pydantic_ai_app.py": "the provider that it asks",
    "bench/rivals/sluice.py": "the one provider that is measured, and the SDK",
    "bench/servers.py": "whose requests it writes",
    "bench/soak.py": "the one provider that is asked",
    "bench/verdict.py": "the one provider that is asked",
    "app/providers/__init__.py": "the list",
    "app/simulator/providers/__init__.py": "the list of those with a form of their own",
    "app/simulator/providers/plain.py": "whose form all others have",
    "app/models.py": "data, by provider",
    "app/dialects/completions/__init__.py": "whose language it is",
    "app/dialects/completions/chunks.py": "the source of a fact",
    "app/dialects/completions/content.py": "the source of a fact",
    "app/dialects/completions/tolerant.py": "a name on the wire",
    "app/dialects/words.py": "a name on the wire",
    "app/upstream/sdk.py": "the SDK",
    "app/upstream/egress.py": "the source of a fact",
}
"""The files in which providers may be named outside their own, and why."""
LAZY = {
    "__init__.py": "gunicorn's settings have to patch before the application is imported",
    "cli.py": "servers need no commands, and `serve` makes a process in which nothing is imported yet",
    "limits/__init__.py": "Redis is only for those who have one",
    "store/migrate.py": "Alembic is only for a database that is not up to date",
    "upstream/__init__.py": "the SDK takes as long as all the rest, and only chats need it",
}
"""The files with an import inside a function, and why."""
KINDS = {"", ".cfg", ".css", ".html", ".js", ".json", ".mako", ".md", ".py"}


def room(path: Path) -> str:
    return path.relative_to(APP).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield the modules that a file imports, with the statement or the call of `import_module`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            module = _absolute(path, node)
            names = [alias.name for alias in node.names] if module == "app" else [""]
            yield from ((f"{module}.{name}".rstrip("."), node) for name in names)
        if _is_import_call(node) and isinstance(node.args[0], ast.Constant):
            name = str(node.args[0].value)
            module = name.lstrip(".")
            yield _absolute(path, ast.ImportFrom(module, [], len(name) - len(module))), node


def _is_import_call(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__"}


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    """Return the module that is imported from; ours are imported relatively, as the package has two names."""
    assert (node.module or "").split(".")[0] != "app", f"{path}: not a relative import"
    if not node.level:
        return node.module or ""
    package = ("app", *path.relative_to(APP).parts[:-1])
    return ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(APP)))
def test_imports_run_one_way(path: Path) -> None:
    ours = {name.split(".")[1] for name, _ in imports(path) if name.startswith("app.")}
    ground = {*GROUND} if room(path) not in GROUND else set()
    assert ours - {room(path)} <= MAY_IMPORT[room(path)] | ground


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(APP)))
def test_flask_and_gevent_stay_where_they_belong(path: Path) -> None:
    found = {name.split(".")[0] for name, _ in imports(path)}
    assert room(path) in WITH_FLASK or not found & {"flask", "werkzeug"}
    assert room(path) in WITH_GEVENT or "gevent" not in found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(APP)))
def test_no_import_hides_in_a_function(path: Path) -> None:
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = [node for function in functions for node in ast.walk(function)]
    assert [node for node in inside if isinstance(node, ast.Import | ast.ImportFrom)] == []
    assert any(map(_is_import_call, inside)) == (str(path.relative_to(APP)) in LAZY)


def test_the_package_itself_imports_nothing_until_it_is_used() -> None:
    """The sockets are patched by a module of the package, and the application has to find them patched."""
    look = "import sys; before = {*sys.modules}; import app; print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert loaded == {"app"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(APP)))
def test_no_file_outgrows_a_reading(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
    assert path.stem not in {"utils", "helpers", "common", "base"}


def test_each_file_of_a_provider_is_offered() -> None:
    files = {module.name for module in pkgutil.iter_modules(app.providers.__path__)}
    assert files - {"account", "forms", "provider"} == set(PROVIDERS)
    for name, provider in PROVIDERS.items():
        assert importlib.import_module(f"app.providers.{name}").PROVIDER is provider


def test_a_provider_is_named_in_its_own_files_only() -> None:
    """A new provider is one file. Elsewhere nothing depends on which there are, but for the exceptions."""
    names = re.compile(rf"(?<![a-z])({'|'.join(PROVIDERS)})(?![a-z])", re.IGNORECASE)
    own = tuple(
        f"app/{room}/{name}{end}" for room in ("providers", "simulator/providers") for name in PROVIDERS for end in "./"
    )
    naming = {path for path in _written() if not path.startswith(own) and names.search((ROOT / path).read_text())}
    assert naming == set(MAY_NAME_A_PROVIDER)


def _written() -> set[str]:
    """Return the files that we write, but for the tests and the locks."""
    folders = [ROOT / name for name in ("app", "bench", "bin", "docs")]
    paths = [*ROOT.glob("[!.]*"), *(path for folder in folders for path in folder.rglob("*"))]
    return {str(path.relative_to(ROOT)) for path in paths if path.is_file() and path.suffix in KINDS}


def test_each_file_of_a_protocol_is_offered() -> None:
    files = {f"app.protocols.{module.name}" for module in pkgutil.iter_modules(app.protocols.__path__)}
    offered = {protocol.__name__ for protocol in PROTOCOLS.values()}  # type: ignore[attr-defined]
    assert files - {"app.protocols.schemas"} == offered


def test_no_code_of_a_failure_is_left_over() -> None:
    text = "\n".join(path.read_text() for path in FILES if room(path) != "failure")
    assert {code.name for code in Code} == set(re.findall(r"\bCode\.([A-Z_]+)", text))


def test_only_protocols_write_the_bodies_of_errors() -> None:
    """The log has this member, too, and so has the answer to somebody who has left, which nobody reads."""
    naming = {str(path.relative_to(APP)) for path in FILES if "requestId" in path.read_text()}
    assert naming - {"record.py", "routes/errors.py"} == {"protocols/chatbot_ui.py"}


def test_the_readme_has_each_field_of_each_provider() -> None:
    """A row has variables, and the name in a profile of what users may set."""
    table = (ROOT / "README.md").read_text().partition("| variable | in a profile |")[2].partition("\n\n")[0]
    told: dict[str, str | None] = {}
    for row in table.splitlines()[2:]:
        variables, names = (re.findall(r"`(\w+)`", cell) for cell in row.split("|")[1:3])
        told |= zip_longest(variables, names)
    fields = [field for provider in PROVIDERS.values() for field in (provider.key, *provider.settings)]
    assert told == {field.variable: None if field.operator_only else field.name for field in fields}


def test_the_packages_that_are_installed_are_the_folders() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    folders = {path.parent.relative_to(APP) for path in APP.rglob("*.py")}
    assert set(setup["options"]["packages"].split()) == {".".join(["sluice", *folder.parts]) for folder in folders}


def test_each_fixture_of_a_conftest_is_in_the_index() -> None:
    index = {name for line in README.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line)}
    files = [path for path in TESTS.rglob("conftest.py") if "node_modules" not in path.parts]
    found = {
        node.name
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and any("fixture" in ast.unparse(one) for one in node.decorator_list)
    }
    assert len(found) > 50
    assert found <= index


def test_each_folder_of_tests_is_in_the_readme_and_bin_test() -> None:
    script = (ROOT / "bin" / "test").read_text()
    for folder in {path.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")}:
        assert f"tests/{folder}" in script, folder
        assert f"`{folder}`" in README, folder


def test_names_of_tests_are_plain_and_short() -> None:
    """Those of the four suites that prove what the product promises stay as they are."""
    files = [path for path in TESTS.rglob("test_*.py") if not {*SUITES, "node_modules"} & {*path.parts}]
    names = [name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)]
    assert len(names) > 500
    assert [name for name in names if len(name) > 60 or "_s_" in name] == []
