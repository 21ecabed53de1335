"""What a snapshot copies, how runs find the copies, and what is noted beside them."""

from __future__ import annotations

import importlib.machinery
import json
import os
import shutil
import stat
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridrl.launch import sources
from gridrl.launch.payload import enter_place, place_here
from gridrl.launch.snapshot import Snapshot, Subject, open_snapshot, take_snapshot
from gridrl.launch.sources import find_sources
from gridrl.launch.surroundings import packages, told_variables
from gridrl.stand_ins import use_stand_ins
from gridrl.utils.files import GridPaths
from tests.launch.edited import make_project
from tests.launch.helpers import config_of, run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project that is the working directory, and first on Python's path."""
    root = make_project(tmp_path)
    monkeypatch.chdir(root)
    others = [entry for entry in sys.path if "lib" in entry]  # Python's own, and installed packages
    monkeypatch.setattr(sys, "path", [str(root), *others])
    yield root
    use_stand_ins(None)


def taken(project: Path, *names: str, **more: Any) -> Snapshot:
    files = [project / name for name in names or ("pkg/train.py",)]
    return take_snapshot(GridPaths.of_grid(project / "data", "g"), Subject(files=files, **more))


def copied(snapshot: Snapshot, project: Path) -> dict[str, str]:
    """The copies, by the names of their originals below the project."""
    root = Path(snapshot.stand_ins.counterpart(str(project)))
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*.py") if not path.is_symlink()}


def commit(project: Path, *names: str) -> None:
    for words in (["init", "-q"], ["add", *names], ["commit", "-qm", "x"]):
        command = ["git", "-c", "user.name=n", "-c", "user.email=e@x", *words]
        subprocess.run(command, cwd=project, check=True, timeout=30)


MODULES = {f"pkg/{name}.py" for name in ("__init__", "train", "late", "deep/__init__", "deep/constants")}


def test_the_package_of_a_module_and_what_lies_beside_it_is_copied(project: Path) -> None:
    found = copied(taken(project), project)
    assert found.keys() == MODULES
    assert found["pkg/late.py"] == "LATE = 1\n"


def test_tracked_files_are_copied_wherever_they_are(project: Path) -> None:
    (project / "tools").mkdir()
    (project / "tools" / "a.py").write_text("")
    (project / "untracked").mkdir()
    (project / "untracked" / "b.py").write_text("")
    (project / "late.py").write_text("")
    commit(project, "tools", "launch.py")
    assert copied(taken(project), project).keys() == MODULES | {"tools/a.py", "launch.py", "late.py"}
    shutil.rmtree(project / "tools")
    assert "tools/a.py" not in copied(taken(project), project)


def test_installed_packages_and_data_directories_are_not_copied(project: Path) -> None:
    for folder in (".venv/lib/python3/site-packages/x", "data/old", "pkg/data"):
        (project / folder).mkdir(parents=True)
        (project / folder / "a.py").write_text("")
    commit(project, "-f", ".venv", "launch.py")
    assert copied(taken(project), project).keys() == MODULES | {"launch.py"}


def test_the_largest_files_are_left_out_where_all_are_too_much(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_BYTES", 2000)
    for name, size in {"large": 5000, "larger": 6000}.items():
        (project / "pkg" / f"{name}.py").write_text("#" * size)
    snapshot = taken(project)
    assert copied(snapshot, project).keys() == MODULES
    assert snapshot.told.startswith(f"{project}/pkg/larger.py and 1 more (0 MB): too much")
    assert Path(snapshot.stand_ins.counterpart(f"{project}/pkg/large.py")).is_symlink()


def test_what_runs_are_known_to_need_is_left_out_last(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_BYTES", 6500)
    for name, size in {"needed": 6000, "small": 1000}.items():
        (project / "pkg" / f"{name}.py").write_text("#" * size)
    found = find_sources([project / "pkg" / "needed.py"])
    assert str(project / "pkg" / "needed.py") in [source.path for source in found.files]
    assert [Path(source.path).name for source in found.left_out] == ["small.py", "train.py"]


def test_an_unchanged_project_is_not_copied_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = taken(project)
    (root,) = GridPaths.of_grid(project / "data", "g").snapshots.iterdir()
    manifest = root / "manifest.json"
    os.utime(manifest, ns=(0, manifest.stat().st_mtime_ns + 10**10))  # as if the files had been left alone for long
    read: list[str] = []
    monkeypatch.setattr("gridrl.launch.snapshot._read", read.append)
    assert taken(project) == first
    assert read == []
    assert list(GridPaths.of_grid(project / "data", "g").snapshots.iterdir()) == [root]


def test_a_file_that_was_only_touched_makes_no_other_snapshot(project: Path) -> None:
    first = taken(project)
    os.utime(project / "pkg" / "late.py", ns=(0, 10**18))
    second = taken(project)
    assert second == first
    manifest = json.loads(second.paths.manifest.read_text())["files"]
    assert manifest[str(project / "pkg" / "late.py")][1] == 10**18


def test_each_version_has_a_snapshot_and_none_is_deleted(project: Path) -> None:
    first = taken(project)
    (project / "pkg" / "late.py").write_text("LATE = 2\n")
    second = taken(project)
    assert second.name != first.name
    assert copied(first, project)["pkg/late.py"] == "LATE = 1\n"
    assert copied(second, project)["pkg/late.py"] == "LATE = 2\n"
    (project / "pkg" / "late.py").write_text("LATE = 1\n")
    assert taken(project) == first


def test_whoever_follows_links_comes_to_an_end_and_takes_nothing_from_outside_along(project: Path) -> None:
    (project.parent / "private").write_text("")
    (project / ".env").write_text("")
    (project / "data" / "g" / "g_s0").mkdir(parents=True)
    (project / "data" / "table.csv").write_text("1")
    take_snapshot(GridPaths.of_grid(project / "other", "g"), Subject(files=[project / "pkg" / "train.py"]))
    snapshot = taken(project)
    walked = [set(names) | set(folders) for _, folders, names in os.walk(project / "data", followlinks=True)]
    assert len(walked) < 60
    assert not {"private", ".env"} & set().union(*walked)
    assert (Path(snapshot.stand_ins.of(project)) / "data" / "table.csv").read_text() == "1"


def test_a_project_that_git_does_not_know_is_told_by_its_files(project: Path) -> None:
    (project / "scripts").mkdir()
    (project / "scripts" / "go.py").write_text("")
    assert find_sources([project / "scripts" / "go.py"]).bases == (project,)
    (project / "pyproject.toml").unlink()
    sys.path.insert(0, str(project / "scripts"))
    assert find_sources([project / "scripts" / "go.py"]).bases == (project / "scripts",)


def test_a_file_for_its_owner_alone_stays_so(project: Path) -> None:
    (project / "pkg" / "late.py").chmod(0o600)
    copy = Path(taken(project).stand_ins.of(project / "pkg" / "late.py"))
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_copy_that_was_cut_off_is_written_again(project: Path) -> None:
    snapshot = taken(project)
    copy = Path(snapshot.stand_ins.of(project / "pkg" / "late.py"))
    copy.write_text("")
    other = Path(snapshot.stand_ins.counterpart(str(project / "pkg" / "train.py")))
    other.unlink()
    taken(project)
    assert copy.read_text() == "LATE = 1\n"
    assert other.read_text() == (project / "pkg" / "train.py").read_text()


def test_whatever_lies_beside_a_module_is_found_beside_its_copy(project: Path) -> None:
    (project / "pkg" / "native.so").write_bytes(b"\x7fELF")
    (project / "pkg" / "tables").mkdir()
    (project / "pkg" / "tables" / "t.csv").write_text("1")
    (project / "pkg" / "__pycache__").mkdir()
    snapshot = taken(project)
    package = Path(snapshot.stand_ins.of(project / "pkg"))
    assert package != project / "pkg"
    assert sorted(path.name for path in package.iterdir()) == sorted(
        ["__init__.py", "train.py", "late.py", "deep", "data.txt", "native.so", "tables"]
    )
    assert (package / "native.so").read_bytes() == b"\x7fELF"
    assert (package / "tables" / "t.csv").read_text() == "1"
    assert (package.parent / "beside.txt").read_text() == "B"
    (package / "tables" / "new.csv").write_text("2")
    assert (project / "pkg" / "tables" / "new.csv").read_text() == "2"


def test_a_snapshot_that_is_used_again_has_what_has_come_since_and_not_what_has_gone(project: Path) -> None:
    first = taken(project)
    (project / "pkg" / "new.csv").write_text("1")
    (project / "pkg" / "data.txt").unlink()
    assert taken(project) == first
    package = Path(first.stand_ins.of(project / "pkg"))
    assert (package / "new.csv").read_text() == "1"
    assert not os.path.lexists(package / "data.txt")


def test_only_what_has_a_copy_is_replaced(project: Path) -> None:
    (project / "scripts").mkdir()
    stand_ins = taken(project).stand_ins
    assert stand_ins.of(project / "pkg" / "late.py") == stand_ins.counterpart(str(project / "pkg" / "late.py"))
    others = ("pkg/data.txt", "scripts", "..", "/usr/lib", "no.py")
    for path in (project / name for name in others):
        assert stand_ins.of(str(path)) == str(path)
    link = project.parent / "link"
    link.symlink_to(project)
    assert stand_ins.of(link / "pkg") == stand_ins.counterpart(str(project / "pkg"))


def here() -> Iterator[None]:
    kept = (os.getcwd(), list(sys.path), list(sys.argv), os.environ.get("PYTHONPATH"))
    yield
    os.chdir(kept[0])
    sys.path[:], sys.argv[:] = kept[1], kept[2]


@pytest.fixture
def _back() -> Iterator[None]:
    yield from here()


@pytest.mark.usefixtures("_back")
def test_a_process_that_enters_imports_from_the_copies_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/nowhere", str(project)]))
    stand_ins = taken(project).stand_ins
    place = json.loads(json.dumps(place_here(stand_ins)))
    copy = stand_ins.of(project)
    sys.path[:] = ["/of/its/own", str(project), *sys.path]
    enter_place(place)
    assert sys.path[0] == copy
    assert str(project) not in sys.path
    assert "/of/its/own" in sys.path
    assert os.getcwd() == str(project)
    assert os.environ["PYTHONPATH"] == os.pathsep.join(["/nowhere", copy])
    enter_place(place_here())
    assert sys.path[0] == copy  # of a launcher that stands there


@pytest.mark.usefixtures("_back")
def test_packages_under_development_are_found_though_a_finder_leads_elsewhere(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "dev" / "src" / "devpkg"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("")
    finder = types.ModuleType("__editable___devpkg_finder")
    finder.MAPPING = {"devpkg": str(source), "other": "/nowhere/else"}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, finder.__name__, finder)
    hook = type("_EditableFinder", (importlib.machinery.PathFinder,), {"__module__": finder.__name__})
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, hook])
    stand_ins = taken(project, "pkg/train.py", "../dev/src/devpkg/__init__.py").stand_ins
    place = place_here(stand_ins)
    assert place["sys_path"][-1] == stand_ins.counterpart(str(source.parent))
    assert Path(place["sys_path"][-1], "devpkg", "__init__.py").is_file()


def test_commit_branch_and_changes_are_noted(project: Path) -> None:
    commit(project, "pkg")
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=project, text=True, timeout=30).strip()
    first = taken(project)
    (found,) = json.loads(first.paths.description.read_text())["git"]
    assert (found["root"], found["commit"], found["dirty"]) == (str(project), head, False)
    assert found["branch"]
    assert not first.paths.diff.exists()
    (project / "pkg" / "data.txt").write_text("changed")
    second = taken(project)
    assert json.loads(second.paths.description.read_text())["git"][0]["dirty"] is True
    assert "+changed" in second.paths.diff.read_text()


def test_a_project_without_commits_or_git_is_copied_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q"], cwd=project, check=True, timeout=30)
    snapshot = taken(project)
    assert json.loads(snapshot.paths.description.read_text())["git"][0]["commit"] is None
    monkeypatch.setenv("PATH", "/nowhere")
    other = taken(project)
    assert json.loads(other.paths.description.read_text())["git"] == []
    assert copied(other, project).keys() == MODULES


def test_versions_and_machine_are_noted(project: Path) -> None:
    found = json.loads(taken(project, codes=["abc"], thunks={"t": len}).paths.description.read_text())
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cores"] == os.cpu_count()
    assert found["memory_mb"] > 100
    assert (found["codes"], found["thunks"]) == (["abc"], ["t"])
    from importlib.metadata import version

    assert found["packages"]["numpy"] == version("numpy")
    assert packages()["torch"] == version("torch")


def test_no_secret_is_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "0", "MUJOCO_GL": "egl", "SLURM_JOB_ID": "7"}
    secret = ["WANDB_API_KEY", "SLURM_JWT_TOKEN", "CUDA_SECRET", "PYTHON_PASSWORD", "OMP_KEY", "TORCH_auth", "MY_NAME"]
    assert told_variables({**told, **dict.fromkeys(secret, "hush")}) == dict(sorted(told.items()))
    for name in secret:
        monkeypatch.setenv(name, "hush-hush")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    text = taken(project).paths.description.read_text()
    assert "hush" not in text
    assert '"OMP_NUM_THREADS": "1"' in text


def test_functions_that_travel_as_code_are_kept_for_their_owner_alone(data_dir: Path) -> None:
    def thunk(seed: int = 0) -> None: ...

    (result,) = run(thunk, data_dir)
    root = GridPaths.of_grid(data_dir, "g").snapshots / config_of(result.run_dir)["snapshot"]
    assert stat.S_IMODE((root / "thunk.pkl").stat().st_mode) == 0o600


def test_a_module_named_by_text_needs_none(data_dir: Path) -> None:
    (result,) = run("gridrl.utils.names:valid_str", data_dir, keys={"value": "x", "seed": 0})
    root = GridPaths.of_grid(data_dir, "g").snapshots / config_of(result.run_dir)["snapshot"]
    assert not (root / "thunk.pkl").exists()


def test_a_dry_run_and_a_grid_that_is_done_copy_nothing(data_dir: Path) -> None:
    def thunk(seed: int = 0) -> None: ...

    run(thunk, data_dir, dry_run=True)
    assert not data_dir.exists()
    run(thunk, data_dir)
    shutil.rmtree(GridPaths.of_grid(data_dir, "g").snapshots)
    run(thunk, data_dir)
    assert not GridPaths.of_grid(data_dir, "g").snapshots.exists()


def without_sources(root: Path) -> None:
    shutil.rmtree(root / "sources")


def without_description(root: Path) -> None:
    (root / "snapshot.json").unlink()


@pytest.mark.parametrize("harm", [without_sources, without_description])
def test_a_damaged_snapshot_is_told(project: Path, harm: Callable[[Path], None]) -> None:
    root = taken(project).paths.root
    harm(root)
    with pytest.raises(FileNotFoundError, match="gone or damaged"):
        open_snapshot(root)


def test_nobody_sees_half_a_snapshot(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gridrl.launch.snapshot.write_tree", full)
    with pytest.raises(OSError, match="No space"):
        taken(project)
    assert list(GridPaths.of_grid(project / "data", "g").snapshots.iterdir()) == []
