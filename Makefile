# Every target can be called on a fresh clone: what it needs is made first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-text demo-retrain demo-sweep test test-slow test-all lint typecheck compile \
  check-compiled docs docs-links lock lock-images clean images images-lock k8s-check

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Any Python from 3.11 on; 3.11 is what the pinned versions were tested with.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
# A process a core; a file's tests stay together, as they share what the first of them has made.
PYTEST := $(BIN)/pytest -q -n auto --maxprocesses 4 --dist loadfile
PIP := $(BIN)/python -m pip --disable-pip-version-check

help: ## Show this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r name what; do printf '  make %-16s %s\n' "$$name" "$$what"; done

setup: $(STAMP) ## Create .venv and install the pinned dependencies

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "DAFTT needs Python 3.11 or 3.12; $(PYTHON) is older (make PYTHON=...)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt -e ".[train,onnx,s3,dev]"
	$(PIP) install --quiet $$(grep -oE '^(setuptools|wheel)==[^ ]+' docker/build-requirements.txt)
	DS_BUILD_OPS=0 $(PIP) install --quiet --no-build-isolation -c constraints.txt \
	  "$$(grep '^deepspeed==' constraints.txt)"
	touch $@

demo: $(STAMP) ## Run the demo: fetch its models and data, compile, run, show the result
	$(BIN)/daftt fetch
	$(BIN)/daftt compile
	$(BIN)/daftt run

demo-text: $(STAMP) ## Run the demo of texts: past tenses of verbs
	$(BIN)/daftt fetch
	$(BIN)/daftt compile
	$(BIN)/daftt run --preset past-tense --preset byte-bart

demo-retrain: $(STAMP) ## Run a quarter of weekly runs on data that arrive in parts
	$(BIN)/daftt fetch
	$(BIN)/daftt compile
	$(BIN)/python examples/demo_retrain.py

demo-sweep: $(STAMP) ## Sweep the demo over labels and ratios
	$(BIN)/daftt fetch
	$(BIN)/daftt compile
	$(BIN)/daftt sweep --name demo-sweep --fractions 0.01,0.02 --ratios 2,6,0 --modes both \
	  --data-dev-count 400 --student-seeds 2 --no-student-gold-arm --synthesis-shards 1

test: $(STAMP) ## Run the fast tests (under 10 minutes on 2 cores)
	$(PYTEST)

test-slow: $(STAMP) ## Run the slow tests
	$(PYTEST) -m "slow and not gpu and not cluster and not network and not vllm"

test-all: test test-slow ## Run both

lint: $(STAMP) ## Check style, format and which module imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/*.Dockerfile

typecheck: $(STAMP) ## Check types
	$(BIN)/mypy

compile: $(STAMP) ## Write the compiled pipeline
	$(BIN)/daftt compile

check-compiled: $(STAMP) ## Fail when the compiled pipeline is not what the code compiles to
	$(BIN)/daftt compile --check

docs: $(STAMP) ## Build the documents into build/docs; warnings and dead links are errors
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo "Read build/docs/index.html"

docs-links: $(STAMP) ## Ask for every outside link of the documents (needs the network)
	$(BIN)/sphinx-build --quiet -b linkcheck docs build/docs-links

lock: ## Choose the newest versions that fit together and write constraints.txt
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip --disable-pip-version-check install --quiet -e ".[train,onnx,s3,cluster,dev]"
	{ sed -n '/^#/p' constraints.txt; \
	  $(VENV)-lock/bin/python -m pip --disable-pip-version-check freeze --exclude-editable \
	    | grep -v '^\(nvidia-\|triton\)' | sed 's/+[a-z0-9]*$$//'; } > constraints.txt.new
	mv constraints.txt.new constraints.txt
	rm -rf $(VENV)-lock
	$(MAKE) lock-images

lock-images: ## Write the hashes of the images' packages, after a change of constraints.txt
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip --disable-pip-version-check install --quiet uv==0.13.9
	PATH="$(VENV)-lock/bin:$$PATH" $(PYTHON) docker/lock.py
	rm -rf $(VENV)-lock

images: ## Build the container images (REGISTRY, BASE_IMAGE, SERVE_EXTRA and more: docker/build.sh)
	docker/build.sh

images-lock: ## Push the images to REGISTRY and write their digests for the pipeline to compile in
	docker/build.sh --lock

k8s-check: $(STAMP) ## Build every overlay and check each object against its schema
	$(BIN)/pytest -q -rs tests/architecture/test_manifests.py

clean: ## Remove what the tools leave behind; runs and downloads stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
