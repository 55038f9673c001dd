# Everything runs from .venv in this checkout; `make setup` creates it. Only tests/host needs root.
PY ?= python3
BIN := .venv/bin
# Programs that the tests need: program:Debian package.
PROGRAMS := dbus-daemon:dbus git:git ssh-keygen:openssh-client openssl:openssl
JOBS ?= 2
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# Stamped at the end: an interrupted `make` is repeated.
.venv/.stamp: pyproject.toml
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'eventd needs Python 3.11 or newer: make PY=python3.12 …' >&2; exit 1; }
	@$(PY) -c 'import venv, ensurepip' 2>/dev/null || { echo 'Python has no venv: apt-get install python3-venv' >&2; exit 1; }
	$(PY) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

setup: .venv/.stamp ## create .venv with eventd and the development tools

demo: setup ## a push, a change, drift and a removal on a simulated host; KEEP=1 keeps it for you
	@$(BIN)/python -m eventd_simulators.demo $(if $(KEEP),--keep)

lint: setup ## ruff, mypy --strict, import-linter
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

# Installs what is missing as root, and otherwise names it.
programs:
	@for pair in $(PROGRAMS); do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get install -y -qq --no-install-recommends $$missing || { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; }; \
	else echo "the tests need programs of these packages:$$missing" >&2; exit 1; fi

test: lint test-here test-host ## everything: lint, tests on the simulated host and, as root, on a real one

test-here: setup programs ## the tests that need no root
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile tests/unit tests/wire tests/simulated

test-host: setup ## the tests on a real Debian 13 under systemd-nspawn; needs root
	@if [ "$$(id -u)" = 0 ] || [ -n "$$CI$$EVENTD_REQUIRE_HOST" ]; then \
	  echo '$(BIN)/python -m pytest -q --tb=short -n $(JOBS) --dist loadfile tests/host'; $(BIN)/python -m pytest -q --tb=short -n $(JOBS) --dist loadfile tests/host; \
	else echo 'NOT TESTED on a real host: that needs root. sudo make test-host'; fi

REPORT ?= build/matrix.md
matrix: setup ## T01 to T12 of the test matrix on a real host, with a report, and docs/explanation/matrix.md; needs root
	rm -rf build/matrix
	-EVENTD_REQUIRE_HOST=1 $(BIN)/python -m pytest -q tests/host/test_matrix.py
	$(BIN)/python -m tests.host.evidence $(REPORT) docs/explanation/matrix.md

storage-cycles: setup ## 200 fast attachments and detachments of a disk on a real host; needs root
	EVENTD_STORAGE_CYCLES=200 $(BIN)/python -m pytest -q tests/host/test_storage.py

bench: setup ## measure times on a real host, with their floor; needs root
	$(BIN)/python -m benchmarks.run

host-shell: setup ## a shell in a throw-away Debian 13 with eventd installed; needs root
	$(BIN)/python -m tests.host.shell

docs: setup ## regenerate the generated pages of docs/reference
	$(BIN)/python docs/generate.py

clean: ## remove .venv, caches and build output
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two test targets at once would mix their output.
.NOTPARALLEL:
.PHONY: help setup demo lint programs test test-here test-host matrix storage-cycles bench host-shell docs clean
