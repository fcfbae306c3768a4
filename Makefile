# The two commands are `make run` and `make test`. Everything happens in .venv; nothing else is installed.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "On Record needs Python 3.11 or newer (make PYTHON=python3.13 run)")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the locked dependencies into .venv (a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: .venv/installed  ## start everything with the Il-76 story, on http://127.0.0.1:8181
	@exec $(BIN)/onrecord serve --sample samples/il76.json

test: .venv/installed  ## run the whole suite
	@$(BIN)/python -m pytest -n 2 $(ARGS)

fuzz: .venv/installed  ## set schemathesis on the service for ten minutes (SECONDS=600)
	@ONRECORD_FUZZ_SECONDS=$(or $(SECONDS),600) $(BIN)/python -m pytest tests/e2e/test_fuzz.py $(ARGS)

soak: .venv/installed  ## kill store, API and worker a hundred times under load
	@ONRECORD_TEST_KILLS=100 $(BIN)/python -m pytest tests/failure $(ARGS)

check: .venv/installed  ## lint, types, import rules, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@new=$$(mktemp -d) && $(BIN)/onrecord openapi $$new && diff -r --exclude=lint $$new openapi >&2; \
		same=$$?; rm -r $$new; [ $$same = 0 ] || (echo "openapi/ is out of date: run make openapi"; exit 1)

format: .venv/installed  ## format the code
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format --quiet .

examples: .venv/installed  ## record the examples of the contract anew, from the Il-76 story
	@ONRECORD_RECORD_EXAMPLES=1 $(BIN)/python -m pytest -q tests/e2e/test_examples.py
	@$(MAKE) --no-print-directory openapi

openapi: .venv/installed  ## write openapi/ anew
	@$(BIN)/onrecord openapi openapi

openapi/lint/node_modules/.package-lock.json: openapi/lint/package-lock.json
	@npm ci --prefix openapi/lint --ignore-scripts --no-audit --no-fund --silent
	@touch $@

contract: openapi/lint/node_modules/.package-lock.json  ## lint openapi/ with Spectral, OWASP's rules and Redocly (needs Node.js 20)
	@REDOCLY_TELEMETRY=off npm run --prefix openapi/lint --silent check

bench: .venv/installed  ## measure, as ratios, into bench/latest.json
	@BENCH_EVENTS=1000000 $(BIN)/python -m bench.run

lock: .venv/installed  ## resolve the dependencies anew: all of them, and those of the image
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --all-extras --group dev pyproject.toml --output-file requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --constraint requirements.lock --all-extras pyproject.toml --output-file requirements.runtime.lock

clean:  ## remove .venv and what tools left; never .onrecord
	@rm -rf .venv openapi/lint/node_modules .mypy_cache .ruff_cache .pytest_cache *.egg-info

.PHONY: help run test fuzz soak check format examples openapi contract bench lock clean
