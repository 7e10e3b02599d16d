# Every task of a developer in one word. `make help` lists them.
#
# Each target works alone on a fresh machine with Python 3.11 (with venv), git and g++: it makes .venv, installs what
# it needs there, builds the core, and runs. A second call finds the stamps in .venv and starts at once.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
ARGS ?=
# Processes that the tests are spread over: one more than two CPUs keep busy, since tests wait for others, too.
WORKERS ?= 3

NATIVE := pyproject.toml CMakeLists.txt $(wildcard src/core/*)
CORE_CPP := $(wildcard src/core/*.cpp)
C_FILES := $(wildcard src/core/*.cpp src/core/*.hpp benchmarks/*.c benchmarks/*/*.c benchmarks/*.cpp benchmarks/*/*.cpp)
PYTHON_CODE := $(wildcard src/framebus tests tools benchmarks examples docs/conf.py)
STUB := src/framebus/_core.pyi
# The compiler is g++; clang-tidy need not know all its flags.
TIDY_ARGS := --quiet --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Some environments forbid byte code on disk. An editable install is then compiled anew by every process, which is most
# of its start.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test lint bench docs stress stubs format install clean
.PHONY: lint-ruff lint-types lint-layers lint-lengths lint-stub lint-clang-format lint-clang-tidy
.DELETE_ON_ERROR:
.SECONDARY:

help:
	@echo 'make demo     close an adaptive-optics loop in front of your eyes (ARGS="--data DIR" for measured data)'
	@echo 'make test     run all tests; what was skipped is listed with its reason (ARGS="tests/test_x.py" for some)'
	@echo 'make lint     ruff, mypy --strict, import-linter, clang-format, clang-tidy, stub of the core'
	@echo 'make bench    measure (ARGS="hop loop kernels start")'
	@echo 'make docs     build the documentation into build/docs'
	@echo 'make stress   the long run of the stress and fuzzing tests'
	@echo 'make format   let ruff and clang-format rewrite the code'
	@echo 'make stubs    write $(STUB) anew from the built core'
	@echo 'make install  make .venv and install framebus there, editable'
	@echo 'make clean    remove .venv, build and caches'

demo: $(STAMPS)/framebus
	$(BIN)/framebus demo $(ARGS)

test: $(STAMPS)/framebus $(STAMPS)/group-test $(STAMPS)/programs
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

stress: $(STAMPS)/framebus $(STAMPS)/group-test
	FRAMEBUS_STRESS=1 $(BIN)/python -m pytest -m stress --timeout=0 $(ARGS)

bench: $(STAMPS)/framebus $(STAMPS)/group-bench
	$(BIN)/python benchmarks/run.py $(ARGS)

docs: $(STAMPS)/framebus $(STAMPS)/group-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo 'documentation: build/docs/index.html'

install: $(STAMPS)/framebus

# ---- lint: every part runs, even when one before it failed ---------------------------------------------------------

lint: $(STAMPS)/framebus $(STAMPS)/group-lint build/lint/compile_commands.json
	@$(MAKE) --no-print-directory --keep-going \
	  lint-ruff lint-types lint-layers lint-lengths lint-stub lint-clang-format lint-clang-tidy

lint-ruff:
	$(BIN)/ruff check $(PYTHON_CODE)
	$(BIN)/ruff format --check $(PYTHON_CODE)

lint-types:
	$(BIN)/mypy

lint-layers:
	PYTHONPATH=src $(BIN)/lint-imports

lint-lengths:
	$(BIN)/python tools/lengths.py src/framebus

lint-stub:
	@mkdir -p build/lint
	$(BIN)/python -m nanobind.stubgen -q -m framebus._core -o build/lint/_core.pyi
	@diff -u $(STUB) build/lint/_core.pyi || \
	  { echo '$(STUB) is not what the core says of itself: run `make stubs`'; exit 1; }

lint-clang-format:
	$(BIN)/clang-format --dry-run -Werror $(C_FILES)

lint-clang-tidy: build/lint/compile_commands.json
	printf '%s\n' $(CORE_CPP) | xargs -P 2 -n 1 $(BIN)/clang-tidy -p build/lint $(TIDY_ARGS)

build/lint/compile_commands.json: $(NATIVE) $(STAMPS)/group-build
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/cmake -G Ninja -S . -B build/lint -DPython_EXECUTABLE=$(abspath $(BIN))/python \
	  -DCMAKE_EXPORT_COMPILE_COMMANDS=ON > /dev/null
	@touch $@

format: $(STAMPS)/group-lint
	$(BIN)/ruff check --fix --exit-zero $(PYTHON_CODE)
	$(BIN)/ruff format $(PYTHON_CODE)
	$(BIN)/clang-format -i $(C_FILES)

stubs: $(STAMPS)/framebus
	$(BIN)/python -m nanobind.stubgen -q -m framebus._core -o $(STUB)

# ---- .venv: one stamp for each thing installed ---------------------------------------------------------------------

$(STAMPS)/venv:
	$(PYTHON) -c 'import sys; sys.exit("framebus needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	@mkdir -p $(STAMPS) && touch $@

# A dependency group of pyproject.toml.
$(STAMPS)/group-%: pyproject.toml $(STAMPS)/venv
	$(BIN)/pip install --quiet --group $*
	@touch $@

# Programs of the system that some tests drive. Without them, or without leave to install them, those tests are skipped.
$(STAMPS)/programs: $(STAMPS)/venv
	@for program in tmux zsh fish; do command -v $$program > /dev/null && continue; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    { apt-get update -qq && apt-get install -qq -y --no-install-recommends $$program; } > /dev/null 2>&1 \
	      || echo "$$program could not be installed: tests that need it are skipped"; \
	  else echo "$$program is not installed: tests that need it are skipped (apt-get install $$program)"; fi; done
	@touch $@

# The package itself, editable: Python is live, a change of the core builds it anew.
$(STAMPS)/framebus: $(NATIVE) $(STAMPS)/group-build
	$(BIN)/pip install --quiet --no-build-isolation --editable '.[all]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
