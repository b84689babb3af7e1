"""Which differences between two revisions the benchmark calls resolved, and what it copies to compare them."""

import shutil
from pathlib import Path
from subprocess import run

import pytest

from bench import trees
from bench.against import NUMBERS, Ratios, table
from bench.servers import VENV
from tests.processes import ROOT


def found(this: list[float], control: list[float], other: list[float]) -> dict[str, list[dict[str, float]]]:
    sides = {"this": this, "control": control, "other": other}
    return {side: [dict.fromkeys(NUMBERS, value) for value in values] for side, values in sides.items()}


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ([10.0] * 5, "not resolved"),
        ([11.0] * 5, "not resolved"),  # the control is up to a fifth off, this is a tenth
        ([9.0] * 5, "not resolved"),
        ([20.0] * 5, "resolved"),
        ([5.0] * 5, "resolved"),
        ([20.0, 10.0, 20.0, 10.0, 10.0], "not resolved"),  # two starts of five say nothing
        ([20.0] * 4, "too few starts"),
    ],
)
def test_only_what_the_control_does_not_show_is_resolved(other: list[float], verdict: str) -> None:
    starts = len(other)
    _, _, *rows = table(found([10.0] * starts, [10.0, 12.0, 10.5, 9.9, 10.1][:starts], other), "v1").splitlines()
    assert [row.split("|")[-2].strip() for row in rows] == [verdict] * len(NUMBERS)


def test_a_control_that_went_down_widens_the_band_upwards() -> None:
    assert Ratios([1.0, 0.8, 0.9]).band == (0.8, 1.25)


def test_ratios_are_told_as_their_median_and_quartiles() -> None:
    assert str(Ratios([0.7, 0.8, 0.9, 1.0, 2.0])) == "0.90 (0.80 to 1.00)"
    assert str(Ratios([0.7])) == "0.70 (0.70 to 0.70)"


def test_a_copy_has_the_revision_or_what_is_new_since(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    git(tmp_path, "init", "--quiet", str(repository))
    shutil.copy(ROOT / "requirements.txt", repository)
    (repository / "word").write_text("old")
    git(repository, "add", "--all")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message=Say it")
    (repository / "word").write_text("new")
    (repository / "another").write_text("new")

    now = trees.write(tmp_path / "now", repository=repository)
    then = trees.write(tmp_path / "then", "HEAD", repository=repository)

    assert [(now / name).read_text() for name in ("word", "another")] == ["new", "new"]
    assert (then / "word").read_text() == "old"
    assert not (then / "another").exists()
    assert (then / ".venv").resolve() == VENV.resolve()
    assert git(repository, "status", "--short") == " M word\n?? another\n"


def test_a_revision_that_is_not_there_is_told_by_git(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nowhere"):
        trees.write(tmp_path / "tree", "nowhere")


def git(folder: Path, *arguments: str) -> str:
    return run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout
