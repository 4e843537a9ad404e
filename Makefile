# Words of every day. `make help` lists them. Each sets up .venv by itself; a second run finds it ready.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Tests start some hundreds of processes: each would compile every library anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
CODE := $(wildcard orchestrator tests benchmarks chaos)

KAFKA_JARS := build/kafka-jars/.ready
QUIX_ENV := build/quix-env/.ready

.PHONY: help broker kafka-jars quix-env demo test types suite bench bench-kafka bench-mail chaos soak lint format lock

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

# Set-up: exactly the versions and the bytes of requirements.lock, then this folder itself, editable.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; name it with: make PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || { echo "Setting up .venv (a minute or two, once)"; $(PYTHON) -m venv .venv; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --no-compile -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## the main job in a fresh temporary project: events in, messages out, log verified
	@$(BIN)/orchestrator demo

# Maven asks its repository once; a machine without it skips the tests of the broker, or fails where CI requires them.
kafka-jars: $(KAFKA_JARS) ## the jars of the Kafka broker that tests start (once; Java 17 and Maven)
$(KAFKA_JARS): tests/kafka/pom.xml
	@command -v mvn >/dev/null || { echo "Maven is missing: install it (and Java 17) to run the tests of the broker."; exit 2; }
	@rm -rf $(@D); mkdir -p $(@D)
	@mvn -q -B -f $< dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(abspath $(@D))
	@touch $@

# Maven and pip fetch side by side; types and contracts are checked while tests wait for servers.
test: ## format check, lint, types, import contracts, all tests
	@$(MAKE) -j 2 $(READY) broker
	@$(BIN)/ruff format --check --quiet $(CODE) || { $(BIN)/ruff format --check $(CODE); exit 1; }
	@$(BIN)/ruff check --quiet $(CODE)
	@$(MAKE) -j 2 types suite

types:
	@mkdir -p build
	@{ $(BIN)/mypy --no-error-summary && $(BIN)/lint-imports; } >build/types.txt 2>&1 || { cat build/types.txt; exit 1; }

suite:
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST)

broker:
	@$(MAKE) kafka-jars || echo "Tests that need a broker will be skipped."

bench: $(READY) ## measure the embedded engine; a table, and build/bench.json
	@mkdir -p build
	@$(BIN)/python -m benchmarks

bench-kafka: $(READY) $(KAFKA_JARS) ## measure the Kafka engine beside its rivals (BENCH= options); a table, and build/bench-kafka.json
	@$(MAKE) quix-env || echo "Quix Streams can't be installed here: it is left out."
	@mkdir -p build
	@$(BIN)/python -m benchmarks.kafka $(BENCH)

bench-mail: $(READY) $(KAFKA_JARS) ## measure e-mail from event to SMTP sink (BENCH= options); a table, and build/bench-mail.json
	@$(MAKE) quix-env || echo "The profiler can't be installed here: it is left out."
	@mkdir -p build
	@$(BIN)/python -m benchmarks.mail --profile $(BENCH)

# apart from ours: its libraries and ours need not agree
quix-env: $(QUIX_ENV) ## the environment of what is only measured: Quix Streams, and a profiler
	@:
$(QUIX_ENV): benchmarks/kafka/quix.txt
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

chaos: $(READY) $(KAFKA_JARS) ## real Kafka and PostgreSQL under faults (SEED= EVENTS= FAULTS= SABOTAGE=); build/chaos/
	@$(BIN)/python -m tests.chaos

soak: $(READY) ## the long versions of what `make test` runs at 1/50
	@SOAK=1 $(BIN)/pytest -m soak --timeout 7200 $(PYTEST)

lint: $(READY) ## lint, types and import contracts alone
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## bring all code into shape
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix --quiet $(CODE)

# The second is for the image: what runs, without what tests and builds; the same versions.
LOCKED := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
lock: ## resolve both lock files anew from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --extra dev $(LOCKED) --output-file requirements.lock
	@uv pip compile pyproject.toml --constraints requirements.lock $(LOCKED) --output-file requirements.runtime.lock
