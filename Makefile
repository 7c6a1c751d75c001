# Sextant's commands. `make` alone lists them; docs/deployment.md says more about each.

EXTRA ?= cpu
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready-$(EXTRA)
UV_VERSION := 0.13.9

.PHONY: help setup run test test-vllm lint format bench lock

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: $(READY) ## make .venv with everything in it (EXTRA=gpu: with the FAISS build for CUDA)

# Made anew only when what it is made from has changed, so that nothing is asked of any network otherwise.
$(READY): pyproject.toml requirements.lock scripts/install
	@scripts/install $(PYTHON) $(EXTRA) $(UV_VERSION)

run: setup ## start everything, print the address of the page; Ctrl-C stops it
	@exec $(BIN)/python manage.py run --sample

test: setup ## run every test, with a real browser, Redis and PostgreSQL
	@scripts/system-packages chromium redis-server postgresql
	$(BIN)/python -m pytest -n auto -m "not browser"
	$(BIN)/python -m pytest -m browser
	$(BIN)/python -m tests.services $(BIN)/python -m pytest -m event_log

test-vllm: setup ## run Sextant before two real vLLM servers on the CPU (3 GB, once; 10 to 30 minutes)
	TEST_VLLM_PYTHON="$$(scripts/vllm-environment)/bin/python" $(BIN)/python -m pytest -n 0 -v -o log_cli=true -o log_cli_level=INFO tests/vllm

lint: setup ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: setup ## bring the code to house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup ## run the benchmarks; DATASET=FOLDER SOURCES=FOLDER adds retrieval, LARGE=FOLDER scale, SEMBLE=PYTHON semble
	$(BIN)/python -m benchmarks $(if $(DATASET),--dataset $(DATASET) --sources $(SOURCES)) \
		$(if $(SEMBLE),--semble $(SEMBLE)) $(if $(LARGE),--large $(LARGE))

# One lock for both extras and every platform: exact versions without an address, which `cpu` and `gpu` each take their
# part of. The `vllm` extra isn't in it: vLLM runs in an environment or image of its own and pins its own torch.
lock: setup ## choose versions anew within pyproject.toml (UPGRADE=1: the newest)
	env -u UV_FIND_LINKS -u PIP_FIND_LINKS $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
		$(if $(UPGRADE),--upgrade) --extra cpu --extra gpu --extra embedded --extra run --extra dev -o requirements.lock pyproject.toml
