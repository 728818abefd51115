# `make run` and `make test` need Python >= 3.11, make and the package registries; everything else they get.

# the first of these that is new enough; PYTHON=… names another
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
BIN := .venv/bin
READY := .venv/.ready
EXAMPLES_BIN := .examples/bin
EXAMPLES_READY := .examples/.ready
FAST := tests/unit tests/golden tests/architecture tests/docs

# sockets have short paths, pytest-xdist's folders long ones
SHORT_PATHS = --basetemp="$$(mktemp -d)"

# Real processes and servers mostly wait, so there are more workers than cores; each takes the next test when it is free.
SIDE_BY_SIDE = -q -n 6 --maxschedchunk 1 -m 'not quiet' $(SHORT_PATHS)

# These measure the time, the cpu or the memory that something takes: nothing runs beside them.
ALONE = -q -n 0 -m quiet $(SHORT_PATHS)

# What looks for anything at all: a short form of it is among the tests.
ANYTHING = tests/integration/test_any_messages.py tests/integration/test_any_text.py \
	tests/integration/test_any_moment.py tests/integration/test_many_agents.py

.DEFAULT_GOAL := help
.PHONY: help run test check lint fast bench versions examples chaos clean

help:
	@echo 'make run    run agenthost.yaml against a LiveKit server on this machine'
	@echo 'make test   run every check and every test'
	@echo 'make check  run the checks and the fast tests'
	@echo 'make bench  measure, and write docs/bench.md'
	@echo 'make versions  run the core of the tests on each Python there is, and on the ends of the range of livekit-agents'
	@echo 'make examples EXAMPLES=PATH  run the examples of a checkout of livekit-agents, with stand-in models'
	@echo 'make chaos  harm hosts at random for half an hour, and count what is lost, beside livekit-agents'
	@echo 'make clean  remove what these commands made'

run: $(READY)
	$(BIN)/agenthost dev agenthost.yaml

test: lint
	$(BIN)/agenthost server install
	$(BIN)/pytest $(SIDE_BY_SIDE) tests samples
	$(BIN)/pytest $(ALONE) tests samples

check: lint fast

lint: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

fast: $(READY)
	$(BIN)/pytest -q -n 2 -m 'not slow and not quiet' $(FAST)
	$(BIN)/pytest $(ALONE) $(FAST)

bench: $(READY)
	$(BIN)/agenthost server install
	$(BIN)/python -m tests.bench.run
	$(BIN)/python -m tests.bench.voice
	$(BIN)/python -m tests.bench.reload_latency

versions: $(READY)
	$(BIN)/agenthost server install
	$(BIN)/python -m tests.versions.run $(ONLY)

examples: $(if $(EXAMPLES),$(EXAMPLES_READY))
	@test -n '$(EXAMPLES)' || { echo 'make: say EXAMPLES=PATH, a checkout of livekit-agents; to get one:' \
		'git clone https://github.com/livekit/agents PATH' >&2; exit 1; }
	$(EXAMPLES_BIN)/python -m tests.examples.run '$(EXAMPLES)' --write --logs .examples/logs

chaos: $(READY)
	$(BIN)/python -m tests.chaos.run
	$(BIN)/python -m tests.chaos.crowd
	AGENTHOST_TESTS=long $(BIN)/pytest -q $(SHORT_PATHS) $(ANYTHING)

clean:
	rm -rf .venv .bench .examples .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@test -n '$(PYTHON)' || { echo 'make: no Python 3.11 or newer found; install one or say PYTHON=…' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev,voice]'  # with voice: its tests must not skip
	touch $(READY)

$(EXAMPLES_READY): pyproject.toml tests/examples/requirements.txt
	$(PYTHON) -m venv .examples
	$(EXAMPLES_BIN)/python -m pip install --quiet --editable '.[dev,voice]' -r tests/examples/requirements.txt
	touch $(EXAMPLES_READY)
