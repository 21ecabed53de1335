# Everything starts from a bare Python with venv; each target makes what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINNED := --quiet --constraint constraints.txt

.PHONY: help install demo test check docs learning coverage gallery bench rivals clean

help:
	@echo "make demo      install, train PPO on CartPole (2 variants x 3 seeds, in parallel) and plot it"
	@echo "make test      install and run the whole test suite"
	@echo "make check     style, types and floors"
	@echo "make docs      build the pages into docs/_build/html"
	@echo "make learning  train the learning gates and draw their curves into docs/images"
	@echo "make coverage  simulate how often the intervals over seeds hold, into docs/statistics.md"
	@echo "make gallery   draw the pictures of docs/plotting.md again"
	@echo "make bench     measure speed against other libraries and launchers into docs/benchmarks.md"
	@echo "make rivals    train beside stable-baselines3 for half a day, curves and tables into docs/benchmarks.md"
	@echo "make clean     remove the virtual environment and what was built"

install: $(VENV)/.dev

# gridrl alone, as a user installs it
$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(PINNED) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(PINNED) --editable '.[dev]'
	@touch $(VENV)/.base $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) install $(PINNED) --editable '.[bench]'
	@touch $@

demo: $(VENV)/.base
	$(BIN)/python -m gridrl.run ppo --preset sb3 --env CartPole-v1 --hid '[64,64]' '[32]' --seeds 3 \
		--steps_per_epoch 4096 --epochs 20 --exp_name demo --data_dir data
	$(BIN)/python -m gridrl.run plot data/demo --save data/demo.png

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev
	$(BIN)/sphinx-build --quiet --fail-on-warning --builder html docs docs/_build/html
	@echo "docs/_build/html/index.html"

learning: $(VENV)/.dev
	$(BIN)/python benchmarks/learning.py

coverage: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/coverage.py

gallery: $(VENV)/.dev
	$(BIN)/python benchmarks/gallery.py

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/ppo.py
	$(BIN)/python benchmarks/trpo.py
	$(BIN)/python benchmarks/off_policy.py
	$(BIN)/python benchmarks/launch.py
	$(BIN)/python benchmarks/results.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/endurance.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/figures.py

rivals: $(VENV)/.bench
	$(BIN)/python benchmarks/rivals.py

clean:
	rm -rf $(VENV) docs/_build build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
