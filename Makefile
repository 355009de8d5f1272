# Each target is one line; `make` alone shows them. STACK limits up, preview, down, policy and comment: make up STACK="aws-batch gcp-batch".
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv/bin
WORKERS ?= 2
WORKLOAD ?= churn
BASE ?= origin/main
# Images of containers often set it, and each process then compiles all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## show what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile
setup: .venv/.ready ## install everything into .venv, at the locked versions
	@echo "Ready: $$($(VENV)/python --version) in .venv"
up: .venv/.ready ## bring up all nine stacks on the sandbox, or those of STACK
	@$(VENV)/python -m sandbox up $(STACK)
preview: .venv/.ready ## show what `make up` would do
	@$(VENV)/python -m sandbox preview $(STACK)
down: .venv/.ready ## destroy the stacks on the sandbox
	@$(VENV)/python -m sandbox down $(STACK)
policy: .venv/.ready ## preview all nine stacks, or those of STACK, with the policy pack, and count what it finds
	@$(VENV)/python -m sandbox policy $(STACK)
comment: .venv/.ready ## say what this change of BASE leads to on each stack, or those of STACK, as a pull request's comment does
	@$(VENV)/python -m ml_delivery comment --base $(BASE) $(STACK)
shell: .venv/.ready ## a shell in which plain `pulumi` commands work on the sandbox
	@$(VENV)/python -m sandbox shell
test: .venv/.ready ## run all tests
	@$(VENV)/python -m sandbox engine && $(VENV)/python -m pytest -n $(WORKERS) --dist loadgroup
bench: .venv/.ready ## measure previews and ups against the floor of trivial resources (some 10 minutes)
	@$(VENV)/python -m benchmarks $(TABLE)
jobs: .venv/.ready ## compile the definitions of features into Spark jobs and the plans of the stream processor
	@$(VENV)/python -m ml_pipelines.features.compile
compile: .venv/.ready ## compile the pipelines of all workloads to what the three platforms take
	@for platform in sagemaker vertexai azureml; do $(VENV)/python -m ml_pipelines.platforms.$$platform || exit; done
train: .venv/.ready ## train on real data, on this machine: make train WORKLOAD=churn (all: WORKLOAD=all)
	@$(VENV)/python -m ml_pipelines.platforms.local $(WORKLOAD)
drill: .venv/.ready ## deploy bad versions of a model under load, and see them withdrawn and rolled back without a failed request
	@$(VENV)/python -m ml_pipelines.serving.drill
loop: .venv/.ready ## a stream drifts: monitors see it, models are trained, judged, rolled out and back; a report and a trail are left
	@$(VENV)/python -m ml_pipelines.loop
docs: .venv/.ready ## write the generated pages of docs/ anew
	@$(VENV)/python -m docs.generate
lint: .venv/.ready ## style, types and contracts
	@$(VENV)/ruff check && $(VENV)/ruff format --check && $(VENV)/pyrefly check && $(VENV)/python -m ml_blueprints.contracts check pipelines/ml_pipelines/contracts && { ! command -v gofmt >/dev/null || ! gofmt -l sandbox | grep .; }
lock: .venv/.ready ## write the lock files in requirements/ anew from the pyproject.toml files
	@requirements/lock
clean: ## remove the environment and the sandbox with all that exists in it
	@rm -rf .venv policies/.venv .uv .sandbox
.venv/.ready: $(wildcard requirements/*) components/pyproject.toml delivery/pyproject.toml pipelines/pyproject.toml policies/pyproject.toml sandbox/pyproject.toml
	@PYTHON="$(PYTHON)" requirements/install
.PHONY: help setup up preview down policy comment shell test bench jobs compile train drill loop docs lint lock clean
