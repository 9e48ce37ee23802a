# Short names for what people do here. `make` alone lists them.
# Every target makes .venv first where it is missing.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
LAB ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup grade watch progress hint run verify test check bench clean

help:  ## list the targets
	@echo "make grade LAB=1.1     grade a lab (default: the one you are on)"
	@echo "make watch LAB=1.1     grade again at every save"
	@echo "make hint LAB=1.1.3    the next hint for a task"
	@echo "make progress          the map: labs, points, tasks"
	@echo "make run LAB=1.1       the lab's experiment, with your code"
	@echo "make test              the instructor's suite"
	@echo "make check             lint, format, stubs in step"
	@echo "make verify LAB=1.1    the contributor's gate for one lab (default: all)"
	@echo "make bench             speed beside the real libraries, as ratios"
	@echo "make clean             remove .venv and caches (your lab.py files stay)"
	@echo
	@echo "More: $(BIN)/labs --help.   ARGS='--seed 3' adds options."

# torch first and pinned: anything else that asks for it is then satisfied.
$(READY): pyproject.toml constraints.txt
	@echo "Setting up .venv (once, a few minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev,oracles,bench]'
	@touch $@

setup: $(READY)  ## only set up

grade: $(READY)
	@$(BIN)/labs grade $(LAB) $(ARGS)

watch: $(READY)
	@$(BIN)/labs watch $(LAB) $(ARGS)

hint: $(READY)
	@$(BIN)/labs hint $(LAB) $(ARGS)

progress: $(READY)
	@$(BIN)/labs progress $(ARGS)

run: $(READY)
	@$(BIN)/labs run $(LAB) $(ARGS)

verify: $(READY)
	@$(BIN)/labs verify $(LAB) $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest $(ARGS)

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/labs stub --check

bench: $(READY)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
	find common tests phase-* -name __pycache__ -type d -prune -exec rm -rf {} +
