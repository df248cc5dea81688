# Everything starts here; each target makes .venv on first use and needs nothing else done before.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TESTS := .venv/.installed-tests
DOCS := .venv/.installed-docs

# Images of containers like to forbid it; then every process compiles all that it imports: 23 CPU seconds for the product's imports, not 11.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-unit test-end-to-end ui people-and-text page lint docs bench clean help format types contracts
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# The pip that comes with Python 3.11 takes 61 CPU seconds to find out what fits together for the tests, this one 21.
define VENV
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --no-compile pip==26.3
endef

# A stamp, not the folder, so that a killed install starts again. Python compiles what it imports, pip would compile all.
$(STAMP): pyproject.toml constraints.txt
	$(VENV)
	.venv/bin/pip install --no-compile -c constraints.txt -e ".[dev]"
	touch $(STAMP)

# Servers and schemas that only tests need (Postgres, Ray, S3, compose, Kubernetes): a demo does not wait for them. One call installs
# all, for to find out what fits together takes pip 21 CPU seconds each time.
$(TESTS): pyproject.toml constraints.txt
	$(VENV)
	.venv/bin/pip install --no-compile -c constraints.txt -e ".[dev,deployment-tests,quantise,s3-test,webrtc]"
	touch $(STAMP) $(TESTS)

$(DOCS): $(STAMP)
	.venv/bin/pip install --no-compile -c constraints.txt -e ".[docs]"
	touch $(DOCS)

demo: $(STAMP)  ## the whole pipeline on the embedded default: clips in, a promoted student out
	$(BIN)/omnihuman demo

# Whole files go to a worker, the long ones first: what a file's tests share is made once, and no worker ends long after the other. One worker
# more than cores, because servers, daemons and browsers are often waited for.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --durations=25 -p tests.cpu_seconds

test: $(TESTS)  ## all tests, the long ones first
	$(PYTEST)

test-unit: $(TESTS)  ## unit tests alone
	$(PYTEST) -m "not end_to_end"

test-end-to-end: $(TESTS)  ## whole assets and the whole demo, on tiny sizes
	$(PYTEST) -m end_to_end

ui: $(STAMP)  ## Dagster and MLflow on 127.0.0.1; prints both addresses
	$(BIN)/omnihuman ui

people-and-text: $(STAMP)  ## MediaPipe, a text detector and a face network, for clips of real people
	.venv/bin/pip install --no-deps -r people-and-text.txt

page: $(STAMP)  ## Gradio, for `omnihuman page`
	.venv/bin/pip install --no-deps -r page.txt

lint: format  ## ruff's formatter and linter, mypy, and the rooms' import contracts
	$(MAKE) --no-print-directory -j2 types contracts

format: $(TESTS)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(TESTS)
	$(BIN)/mypy

contracts: $(TESTS)
	$(BIN)/lint-imports

docs: $(DOCS)  ## the documents as a site, in build/site
	OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(STAMP)  ## speed and memory of the parts that decide how long a demo takes; recorded in benchmarks/history.jsonl
	$(BIN)/python -m benchmarks

clean:  ## remove what the pipeline made (data, var, inbox, DVC cache); keeps .venv
	rm -rf data var inbox .dvc/cache .dvc/tmp dvc.lock snapshots
