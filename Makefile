# Everything a fresh machine needs is Python 3.11+ and make; the environment is made once and reused.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests run in this many processes; more cores can take more.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.PHONY: run test test-all check bench bench-peers bench-scaling bench-lora setup clean

run: setup
	$(BIN)/fedbench run --method fed-cmp

test: setup
	$(PYTEST) -m "not slow"

test-all: setup
	$(PYTEST)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m pytest benchmarks --benchmark-only

# Beside other simulators, each in an environment of its own that is made in .peers.
bench-peers: setup
	PYTHONPATH=benchmarks $(BIN)/python benchmarks/peers/compare.py
	$(BIN)/python benchmarks/report.py

bench-scaling: setup
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/report.py

# LoRA tuning beside a loop of peft models.
bench-lora: setup
	$(BIN)/python benchmarks/lora_round.py
	$(BIN)/python benchmarks/report.py

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) dist
