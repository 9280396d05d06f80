# Everything that a person or CI runs. `make help` lists it.
PYTHON ?= python3
PORTIONS = agents/understudy graphs/understudy tools/understudy retrieval/understudy apps/understudy
RUN = .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-e2e check format samples clean

help: ## list these targets
	@grep -hE '^[a-z0-9%-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: .venv/.ready ## set up .venv from constraints.txt (compiles llama.cpp: about 5 minutes)

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(RUN)/pip install --quiet --upgrade pip==26.2
	$(RUN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/.ready ## the whole story on sample documents, two minutes at most, no network
	$(RUN)/understudy demo

test: .venv/.ready ## all tests that need neither root nor minutes
	$(RUN)/pytest -n auto --maxprocesses 4 --dist loadfile -m "not e2e and not slow"

test-slow: .venv/.ready ## tests that take minutes, such as a death at each step of an erasure
	$(RUN)/pytest -m slow

test-e2e: .venv/.ready ## tests in a real browser and with the Node client; installs Debian's chromium, nodejs and npm where they are missing
	@command -v chromium >/dev/null && command -v npm >/dev/null || \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium nodejs npm >/dev/null; }
	$(RUN)/pytest -m e2e

check: .venv/.ready ## lint, format, types, import direction
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy $(PORTIONS)
	$(RUN)/pytest tests/test_architecture.py

format: .venv/.ready ## put the code in form
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

bench-%: .venv/.ready ## measure: bench-retrieval, -reader, -agent, -starter, -health, -steps, -deferral, -cache, -learn-cuad, -learn-tatqa, -shuffled, -ingest, -batch, -startup, -memory, -memory-gpu, -swap, -serve, -cluster, -soak, -access, -egress, -redaction, -sensitivity, -attacks, -audit, -code
	$(RUN)/understudy bench $*

samples: .venv/.ready ## write the demo's documents anew
	$(RUN)/python apps/understudy/apps/samples/make_samples.py

clean: ## remove what was built
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache
