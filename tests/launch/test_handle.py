"""Grids that run while the program goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentGrid
from gridrl.errors import BadValue
from gridrl.launch.handle import GridHandle


def train(lr: float, net: Any = None, epochs: int = 4, logger_kwargs: Any = None) -> None: ...


def waiting() -> Callable[..., None]:
    """A thunk that goes on until there is a file `go` beside the data directory; it travels by value."""

    def thunk(lr: float, net: Any = None, epochs: int = 4, logger_kwargs: Any = None) -> None:
        import time
        from pathlib import Path

        out = Path(logger_kwargs["output_dir"])
        (out / "progress.txt").write_text(f"Epoch\tAverageEpRet\n0\t{lr}\n")
        if lr == 2:
            raise ValueError("the loss is nan")
        while not (out.parents[2] / "go").exists():
            time.sleep(0.02)

    return thunk


def start(thunk: Any, data_dir: Path, **options: Any) -> GridHandle:
    grid = ExperimentGrid("g")
    grid.add("lr", [1, 2, 3])
    grid.add("net:width", 64)
    return grid.start(thunk, data_dir=data_dir, **options)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def states(handle: GridHandle) -> list[str]:
    return [run.state for run in handle.runs]


def test_a_grid_runs_while_the_program_goes_on(data_dir: Path) -> None:
    handle = start(waiting(), data_dir, jobs=1)
    wait_for(lambda: states(handle) == ["running", "queued", "queued"])
    assert repr(handle) == "<GridHandle running: 1 running, 2 queued>"
    with pytest.raises(TimeoutError, match=r"not over after 0\.1 s: 1 running, 2 queued"):
        handle.wait(0.1)
    wait_for(lambda: _rows(handle)[0]["score"] == 1.0)
    row = _rows(handle)[0]
    assert {key: row[key] for key in ("name", "seed", "state", "epoch", "epochs", "variant:net:width")} == {
        "name": "g_lr1", "seed": 0, "state": "running", "epoch": 1, "epochs": 4, "variant:net:width": 64,
    }  # fmt: skip
    (data_dir.parent / "go").touch()
    result = handle.wait(timeout=60)
    assert [run.state for run in result] == ["done", "failed", "done"] == states(handle)
    errors = [row["error"] for row in _rows(handle)]
    assert errors[1] == "ValueError: the loss is nan"
    assert all(error is None or error != error for error in errors[::2])  # pandas has its own word for nothing: nan
    assert handle.is_over
    assert handle.wait() is result


def _rows(handle: GridHandle) -> list[dict[str, Any]]:
    frame = handle.frame()
    return frame if isinstance(frame, list) else frame.to_dict("records")  # type: ignore[no-any-return]


def test_a_frame_is_pandas_where_there_is_pandas(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pandas.py").write_text("class DataFrame(list): pass\n")
    handle = start(train, data_dir)
    handle.wait(60)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert type(handle.frame()).__name__ == "DataFrame"
    assert len(handle.frame()) == 3


def test_stopping_ends_what_runs_and_starts_no_more(data_dir: Path) -> None:
    handle = start(waiting(), data_dir, jobs=1)
    wait_for(lambda: states(handle)[0] == "running")
    result = handle.stop()
    assert [run.state for run in result] == ["killed", "queued", "queued"]
    assert [run.state for run in handle.wait()] == ["killed", "queued", "queued"]
    assert [run.state for run in handle.stop()] == ["killed", "queued", "queued"]  # nothing happens


def test_what_is_wrong_with_a_grid_is_told_at_once(data_dir: Path) -> None:
    with pytest.raises(BadValue):
        start(train, data_dir, jobs=0)
    with pytest.raises(TypeError):
        start(train, data_dir, jbos=1)
    assert not [thread for thread in threading.enumerate() if thread.name == "gridrl-grid"]


def test_a_grid_that_is_done_is_over_at_once(data_dir: Path) -> None:
    start(train, data_dir).wait(60)
    assert [run.skipped for run in start(train, data_dir).wait(60)] == [True] * 3


def test_run_works_in_a_thread_that_is_not_the_main_one(data_dir: Path) -> None:
    results: list[Any] = []
    grid = ExperimentGrid("g")
    grid.add("lr", [1, 2])
    thread = threading.Thread(target=lambda: results.append(grid.run(train, data_dir=data_dir)))
    thread.start()
    thread.join(60)
    assert results[0].ok


SCRIPT = """
import sys
from gridrl import ExperimentGrid

def train(lr):
    print("trained", lr)

grid = ExperimentGrid("g")
grid.add("lr", [1, 2])
handle = grid.start(train, data_dir=sys.argv[1])
print("the script goes on")
"""


def test_a_program_lives_until_its_grid_is_over(
    script: Callable[..., Path], run_script: Callable[..., Any], data_dir: Path
) -> None:
    ended = run_script(script(SCRIPT), str(data_dir))
    assert ended.returncode == 0, ended.stderr
    assert "the script goes on" in ended.stdout
    assert "2 done." in ended.stdout


NOTEBOOK = """
import sys, types
shown = []
class Handle:
    def update(self, content): shown.append(content)
def display(content, display_id):
    shown.append(content)
    return Handle()
shell = types.ModuleType("IPython"); shell.get_ipython = lambda: object(); shell.__path__ = []
shell.display = types.ModuleType("IPython.display"); shell.display.display = display
sys.modules.update({"IPython": shell, "IPython.display": shell.display})

from gridrl import ExperimentGrid

def train(lr):
    if lr == 2:
        raise ValueError("<the loss> is nan")

grid = ExperimentGrid("g")
grid.add("lr", [1, 2])
assert grid.start(train, data_dir=sys.argv[1]).wait(60).counts() == {"done": 1, "failed": 1}
assert any("running" in repr(content) for content in shown), shown
assert "ValueError: <the loss> is nan" in repr(shown[-1])
assert "<pre>" in shown[-1]._repr_html_() and "&lt;the loss&gt;" in shown[-1]._repr_html_()
"""


def test_a_notebook_shows_an_output_that_changes(script: Callable[..., Path], data_dir: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(script(NOTEBOOK)), str(data_dir)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "started" not in ended.stdout
