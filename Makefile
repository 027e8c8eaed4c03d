# Every target installs what it needs: nothing here depends on something a person installed by hand.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/xstilts
UV := .tools/bin/uv
BIN := .venv/bin
DEPTHS ?= 1

.PHONY: help setup demo inputs control-plane bench-setup cluster cluster-images cluster-down demo-cluster test test-fast test-cluster lint crds chart lock docs links sbom audit clean
NODE = PYTHONPATH=$(CURDIR)/tests $(BIN)/python -m node
help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/installed ## install uv into .tools and everything else, from hashed locks, into .venv

$(UV): locks/uv.txt
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install -q --require-hashes -r locks/uv.txt
	@touch $@

.venv/installed: $(UV) locks/dev.txt locks/build.txt core/pyproject.toml operator/pyproject.toml trainer/pyproject.toml
	$(UV) venv -q --allow-existing --python $(PYTHON) .venv
	$(UV) pip sync -q --compile-bytecode --python $(BIN)/python --require-hashes locks/dev.txt locks/build.txt
	$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e core -e operator -e trainer
	@touch $@

demo: setup ## make the quickstart's model and tasks and run it to a table and a report (DEPTHS=2: with the first 6 layers)
	$(BIN)/python scripts/demo.py --depths $(DEPTHS)

inputs: setup ## put e5-small and the real slices of XSTILTS_DATA into the store, for examples/xnli-small*.yaml
	$(BIN)/python scripts/inputs.py

control-plane: setup ## build etcd, kube-apiserver, kwok and Kueue for the operator's tests from Go modules, once
	$(BIN)/python tests/controlplane/build.py

bench-setup: setup ## build what bench/operator.py measures on and beside: control plane, kwok, training-operator
	$(BIN)/python tests/controlplane/build.py hyperkube kwok training-operator

cluster: setup ## start a real Kubernetes node on this machine (as root on Debian, or where Docker runs) and print its kubeconfig
	$(NODE) up

cluster-images: cluster ## build what has changed of both images and put them on that node
	$(NODE) images

demo-cluster: cluster-images ## run the quickstart's very file on that node: chart, store, kubectl apply, table
	$(NODE) demo

cluster-down: setup ## stop that node and leave the machine as it was; its images stay in the cache
	$(NODE) down

crds: setup ## write crds/ anew from the manifest's models, and the chart's copy of them
	$(BIN)/python scripts/crds.py
	$(BIN)/python scripts/chart_files.py

chart: setup ## write what the chart holds of other files: CRDs, dashboards, the table of its values
	$(BIN)/python scripts/chart_files.py

lock: $(UV) ## resolve the dependencies anew into locks/
	scripts/lock.sh

DOCS := build/docs-venv
$(DOCS)/installed: $(UV) locks/docs.txt
	$(UV) venv -q --allow-existing --python $(PYTHON) $(DOCS)
	$(UV) pip sync -q --python $(DOCS)/bin/python --require-hashes locks/docs.txt
	@touch $@

docs: setup $(DOCS)/installed ## write docs/reference anew from the code and build the documentation site in build/docs
	$(BIN)/python scripts/reference.py
	$(DOCS)/bin/sphinx-build -q -W --keep-going -n -b html -d build/docs-cache docs build/docs

links: $(DOCS)/installed ## ask whether each page elsewhere that the documentation links to is there (over the Internet, so in no test)
	$(DOCS)/bin/sphinx-build -q -b linkcheck -d build/docs-cache docs build/links

lint: setup ## formatting, style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Every core takes a file of tests at a time, and has the servers and models that files share once. What the tests would build
# is built before: it takes minutes, and a worker of pytest says nothing meanwhile.
PYTEST := $(BIN)/pytest -n auto --maxprocesses=4 --dist=loadfile
BUILT := $(if $(or $(XSTILTS_TEST_KUBECONFIG),$(KUBEBUILDER_ASSETS)),,control-plane)
test-fast: setup $(BUILT) ## the unit tests
	$(PYTEST) -m "not slow and not cluster"

test: setup lint $(BUILT) ## every check and test
	$(PYTEST)

test-cluster: cluster-images ## the tests on that node: images, chart, the quickstart as it stands, interruptions
	$(BIN)/pytest -m cluster

.tools/audit/installed: $(UV) locks/audit.txt
	$(UV) venv -q --allow-existing --python $(PYTHON) .tools/audit
	$(UV) pip sync -q --python .tools/audit/bin/python --require-hashes locks/audit.txt
	@touch $@

sbom: .tools/audit/installed ## write what each image holds of packages, as CycloneDX, into build/sbom
	.tools/audit/bin/python scripts/sbom.py

audit: .tools/audit/installed ## ask for known vulnerabilities of all that is locked (OPTIONS: pip-audit's); 3: could not be asked
	.tools/audit/bin/python scripts/audit.py $(OPTIONS)

clean: ## remove what was installed and made here (not the store)
	rm -rf .tools .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build
