# Everything runs from .venv in this checkout; `make setup` makes it.
PY ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.venv/.stamp: pyproject.toml
	$(PY) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --editable . --group dev
	touch $@

setup: .venv/.stamp ## make .venv with eventd and the development tools

lint: setup ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: setup lint help
