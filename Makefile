# `make run` and `make test` set everything up by themselves: all they need is make and Python 3.11, 3.12 or 3.13.

ifeq ($(OS),Windows_NT)
$(error This Makefile is for Linux and macOS; README.md, "On Windows", has the plain commands)
endif

SHELL := /bin/sh
BIN := .venv/bin
# The environment's own kernel, not one that the user has registered under the same name.
export JUPYTER_PREFER_ENV_PATH := 1

PEERS := benchmarks/.peers

.PHONY: help run lab test test-azure notebooks install install-dev install-azure peers lock clean

help:
	@echo "make run            run notebooks 00 to 07 on the bundled data and write a report"
	@echo "make lab            step through the notebooks in JupyterLab"
	@echo "make test           check style, types, tests and the notebooks' outputs"
	@echo "make test-azure     check the Azure side: the real SDK on the emulator of its service"
	@echo "make notebooks      run the notebooks in place, as they are committed"
	@echo "make install-azure  make .venv-azure, which has the Azure ML SDK v1 too (about 2 GB)"
	@echo "make peers          make the environments of what benchmarks/automl.py compares with (5 GB or more)"
	@echo "make lock           resolve the locked versions anew (needs uv)"
	@echo "make clean          remove the environment, the workspace folder and all runs"

run: install
	@$(BIN)/nbhelpers run

lab: install
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_workspace.ipynb

test: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict nbhelpers
	$(BIN)/pytest --nbval-lax tests notebooks

# What needs the real SDK; the contract suite is started by the emulator, as the SDK has to find it when it is imported.
test-azure: install-azure
	.venv-azure/bin/pytest tests/azure tests/emulator tests/notebooks/test_sdk_v1_flow.py tests/notebooks/test_azure_chain.py
	@home=$$(mktemp -d) && NBHELPERS_HOME=$$home .venv-azure/bin/nbhelpers emulate -- \
	  .venv-azure/bin/pytest tests/contract --backend azure; \
	status=$$?; rm -rf "$$home"; exit $$status

# Committed notebooks hold the outputs of a run in an empty workspace, and no times of execution.
notebooks: install
	@home=$$(mktemp -d) && NBHELPERS_HOME=$$home $(BIN)/jupyter nbconvert --to notebook --execute --inplace \
	  --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.timeout=1200 notebooks/*.ipynb; \
	status=$$?; rm -rf "$$home"; exit $$status

install: .venv/base-installed
install-dev: .venv/dev-installed
install-azure: .venv-azure/azure-installed

# The name of a Python of one of the versions $(1) that can make an environment, or an explanation of what is missing.
define find_python
found=; for python in $(PYTHON) $(1:%=python%) python3 python; do \
  if "$$python" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] not in "$(1)".split())' 2>/dev/null; \
  then found=$$python; break; fi; \
done; \
if [ -z "$$found" ]; then \
  echo "No Python of version $(1) was found on the PATH. Install one, or name it: make PYTHON=/path/to/python" >&2; \
  exit 1; \
fi; \
if ! "$$found" -c 'import venv, ensurepip' 2>/dev/null; then \
  echo "$$found has no venv module. On Debian or Ubuntu: sudo apt-get install python3-venv. Then repeat." >&2; \
  exit 1; \
fi
endef

# $(1) environment, $(2) lock
define install
@echo "Installing the locked packages of requirements/$(2).txt into $(1) (once, a minute or more)"
@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/$(2).txt
@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
@$(1)/bin/python -c 'import lightgbm' 2>/dev/null || { \
  echo "LightGBM cannot be loaded. Most often the system's OpenMP library is missing; on Debian or Ubuntu:" \
    "sudo apt-get install libgomp1, on macOS: brew install libomp. Then repeat." >&2; exit 1; }
@touch $(1)/$(2)-installed
endef

.venv/bin/python:
	@$(call find_python,3.11 3.12 3.13); "$$found" -m venv .venv

.venv-azure/bin/python:
	@$(call find_python,3.11); "$$found" -m venv .venv-azure

.venv/%-installed: requirements/%.txt pyproject.toml | .venv/bin/python
	$(call install,.venv,$*)

.venv-azure/azure-installed: requirements/azure.txt pyproject.toml | .venv-azure/bin/python
	$(call install,.venv-azure,azure)

# Each in an environment of its own, as they want different versions of the same packages.
peers: $(patsubst benchmarks/peers/%.txt,$(PEERS)/%/installed,$(wildcard benchmarks/peers/*.txt))

$(PEERS)/%/installed: benchmarks/peers/%.txt
	@$(call find_python,3.11 3.12 3.13); "$$found" -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# The azure lock is resolved first; the others take their versions from it, so that all environments agree.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
lock:
	$(COMPILE) requirements/azure.in --output-file requirements/azure.txt
	$(COMPILE) requirements/dev.in --constraint requirements/azure.txt --output-file requirements/dev.txt
	$(COMPILE) requirements/base.in --constraint requirements/azure.txt --output-file requirements/base.txt

clean:
	rm -rf .venv .venv-azure benchmarks/.peers .nbhelpers runs .pytest_cache .mypy_cache .ruff_cache *.egg-info
