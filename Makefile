# From nothing but make and a Python 3.10 to 3.13: every target first makes .venv with what it needs.
# PYTHON=/path/to/python chooses the interpreter, LANDMARK_STATE the folder of the stack's data.

UV := $(shell sed -n "s/^uv==\([0-9.]*\).*/\1/p" requirements-uv.txt)
FITS := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
CANDIDATES := python3.13 python3.12 python3.11 python3.10 python3
# The first that can also make a venv; failing that, the first that fits, for its error message.
PYTHON ?= $(shell for test in "import ensurepip, venv; $(FITS)" "$(FITS)"; do \
	for python in $(CANDIDATES); do \
	"$$python" -c "$$test" 2>/dev/null && command -v "$$python" && exit; done; done)

VENV := .venv/bin/python
STACK := PYTHONPATH=include:plugins $(VENV) -m stack
export LANDMARK_MODEL ?= $(CURDIR)/include/models/landmark-v1

.DEFAULT_GOAL := help
.PHONY: help demo up down test bench audit lint screenshots

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

demo: .venv/.installed ## index the demo gallery and search three places (PHOTOS=dir: your own)
	@$(STACK) demo $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(QUERY),--query "$(QUERY)")

up: .venv/.installed ## start Postgres, S3, Dask and Airflow on 127.0.0.1
	@$(STACK) up

down: .venv/.installed ## stop them; their data stay in .stack
	@$(STACK) down

test: .venv/.installed-dev ## run the tests
	@$(VENV) -m pytest $(ARGS)

bench: .venv/.installed-dev ## measure matching beside DELF's own, on one core
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(VENV) -m benchmarks.matching

screenshots: .venv/.installed-dev ## take the pictures in docs/ anew, from the demo in a stack of its own
	@LANDMARK_STATE="$${LANDMARK_STATE:-.stack-screenshots}" $(STACK) screenshots

audit: .venv/.installed ## ask PyPI for known faults of the pinned packages; needs the internet
	@$(VENV) -m uv tool run pip-audit==2.10.1 --strict --disable-pip --no-deps -r requirements.txt

lint: .venv/.installed-dev ## ruff, mypy, a scan for secrets, and a look at docker-compose.yaml
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m mypy
	@git ls-files -z ':!*.jpg' ':!*.png' ':!*/chance.json' | \
	xargs -0r $(VENV) -m detect_secrets.pre_commit_hook --no-verify
	@$(VENV) -m pytest --noconftest -q tests/stack/test_compose.py

.venv/.installed: requirements.txt
	@$(call install,requirements.txt)
	@printf '%s\n' '#!/bin/sh' \
	'PYTHONPATH="$(CURDIR)/plugins" exec "$(CURDIR)/$(VENV)" -m landmark "$$@"' > .venv/bin/landmark
	@chmod +x .venv/bin/landmark

.venv/.installed-dev: requirements-dev.txt requirements-kubernetes.txt .venv/.installed
	@$(call install,requirements-kubernetes.txt)
	@$(call install,requirements-dev.txt)

# uv takes under a minute where pip takes three; pip knows mirrors that only pip.conf names. Both
# refuse a file that is not, byte for byte, what was pinned.
define install
	begin=$$(date +%s); \
	if ! $(VENV) -c "$(FITS)" 2>/dev/null; then \
	  if ! "$(PYTHON)" -c "$(FITS)" 2>/dev/null; then \
	    echo "error: no Python 3.10 to 3.13 found (tried $(or $(PYTHON),$(CANDIDATES))); install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; fi; \
	  if ! "$(PYTHON)" -c "import ensurepip, venv" 2>/dev/null; then \
	    echo "error: $(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; fi; \
	  echo "making .venv with $(PYTHON)"; \
	  "$(PYTHON)" -m venv --clear .venv || exit; fi; \
	$(VENV) -m uv --version 2>/dev/null | grep -qF "uv $(UV) " || \
	  $(VENV) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.txt || exit; \
	echo "installing $$(grep -c '==' $(1)) packages of $(1)"; \
	$(VENV) -m uv pip install -q --python $(VENV) --require-hashes -r $(1) || \
	  { echo "uv could not; trying pip, which takes some minutes"; \
	    $(VENV) -m pip install -q --disable-pip-version-check --require-hashes -r $(1); } || exit; \
	touch $@; \
	echo "installed in $$(($$(date +%s) - begin)) s"
endef
