# Paths are relative throughout: the checkout's own path may hold spaces, which make cannot.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install up down status demo test check chaos browser bench lock

BIN := .venv/bin
INSTALLED := .venv/.installed
SOURCES := praxis_core flows tasks blocks benchmarks tests

help: ## List these commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; \
		do printf '  make %-8s %s\n' "$$name" "$$text"; done

install: $(INSTALLED) ## Make .venv with the locked dependencies

$(INSTALLED): requirements.lock pyproject.toml
	@.ci/install

up: $(INSTALLED) ## Start Postgres, Valkey, Prefect and a worker; they go on running
	@$(BIN)/praxis up

down: $(INSTALLED) ## Stop them; the data stays in .praxis
	@$(BIN)/praxis down

status: $(INSTALLED) ## Show them
	@$(BIN)/praxis status || true

demo: $(INSTALLED) ## Start everything and run a serial dilution on a simulated workcell
	@$(BIN)/praxis demo

test: $(INSTALLED) ## Run all tests, two files at a time, on services of their own
	$(BIN)/python -m pytest -n 2

check: $(INSTALLED) ## Lint, format, types, layers
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES) README.md docs
	$(BIN)/mypy
	$(BIN)/lint-imports

chaos: $(INSTALLED) ## Kill everything everywhere (an hour), and write docs/reliability.md; goes on
	PRAXIS_CHAOS_RESULTS=chaos.jsonl $(BIN)/python -m pytest -m chaos tests; \
		ended=$$?; $(BIN)/python -m tests.chaos.page chaos.jsonl && exit $$ended

browser: $(INSTALLED) ## Fill in forms and look at pages in a real browser (Chromium has to be installed)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements-browser.lock
	$(BIN)/python -m pytest -m browser tests

bench: $(INSTALLED) ## Measure, and write docs/benchmarks.md
	$(BIN)/python -m benchmarks

LOCKED := uv pip compile --universal --python-version 3.11 --upgrade --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --quiet

lock: ## Choose versions anew and write the lock files (needs uv)
	$(LOCKED) pyproject.toml --all-extras --output-file requirements.lock
	echo playwright | $(LOCKED) - --no-deps --output-file requirements-browser.lock
