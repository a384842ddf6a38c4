# One command for each wish, the same by hand and in CI. A bare machine needs Python, pip and make.
PYTHON ?= python3
UV_VERSION := 0.13.9
# GPU=1 installs CUDA's libraries too, BENCH=1 PyTorch, which `make bench` measures ours against.
LOCK := requirements$(if $(GPU),-gpu,$(if $(BENCH),-bench)).lock
READY := .venv/ready-$(LOCK)

# What the page of docs/clients runs on, of npm; SHA-256 of the package.
ORT_WEB := 1.30.0
ORT_WEB_SHA256 := d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71

.PHONY: run up down test test-real test-system test-nightly check docs bench setup onnxruntime-web lock

run: $(READY)  ## digits: from scratch and fine-tuned, the better one promoted
	.venv/bin/vgg16 run digits-scratch digits-finetune

up: $(READY)  ## a team's servers on this machine: Prefect, MLflow, S3, PostgreSQL where it is installed, workers
	.venv/bin/vgg16 up

down: $(READY)  ## end them
	.venv/bin/vgg16 down

test: $(READY)  ## every test that needs no data to download and not the whole stack; no network, no GPU
	.venv/bin/python -m pytest -m "not real and not system"

test-real: $(READY)  ## tests on the real CIFAR archives in VGG16_TEST_DATA, skipped where there are none
	.venv/bin/python -m pytest -m real

test-system: $(READY)  ## tests against the local stack, which they start and end
	.venv/bin/python -m pytest -m "system and not nightly" --dist=loadgroup

test-nightly: $(READY)  ## what takes minutes each, most of it kills at random; an hour, before a release
	.venv/bin/python -m pytest -n0 -m nightly --log-cli-level=INFO

bench: $(READY)  ## the figures of the docs, two hours on two cores; BENCH=1 with PyTorch. The half hours are apart: benchmarks/half_hour.py, benchmarks/serve.py
	.venv/bin/python -m benchmarks.step
	.venv/bin/python -m benchmarks.pipeline
	.venv/bin/python -m benchmarks.chain
	.venv/bin/python -m benchmarks.gate_newer
	.venv/bin/python benchmarks/few_labels.py
	.venv/bin/python benchmarks/unequal_classes.py
	.venv/bin/python benchmarks/features_once.py
	.venv/bin/python benchmarks/evaluation.py
	.venv/bin/python -m benchmarks.two_workers

infra/.env:  ## a secret of its own for every name of infra/env.example
	@umask 077; $(PYTHON) -c 'import secrets; print(*(line + secrets.token_hex(24) * line.endswith("=") \
	for line in open("infra/env.example").read().splitlines()), sep="\n")' > $@

# Not with --quiet, by which a broken link fails no build. Whatever warns is an error: mkdocs.yml has `strict`.
DOCS := NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build

docs: $(READY)  ## the docs site, into site/
	$(DOCS)

check: $(READY)  ## style, types, the laws of the house, and the docs site's links
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(DOCS)

setup: $(READY)  ## .venv from the lock, byte-compiled: every later start is three times as fast

$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo \
	"vgg16 needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo \
	"$(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	rm -f .venv/ready-*
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	.venv/bin/uv pip sync --python .venv/bin/python --compile-bytecode --require-hashes $(LOCK)
	.venv/bin/uv pip install --python .venv/bin/python --quiet --no-deps --no-build-isolation --editable .
	touch $@

onnxruntime-web: .venv/onnxruntime-web-$(ORT_WEB)  ## what the test of docs/clients/classify.html needs: three files of a package that npm fetches

.venv/onnxruntime-web-$(ORT_WEB):
	mkdir -p .venv/npm
	cd .venv/npm && npm pack --silent onnxruntime-web@$(ORT_WEB)
	echo "$(ORT_WEB_SHA256)  .venv/npm/onnxruntime-web-$(ORT_WEB).tgz" | sha256sum --check --quiet
	cd .venv/npm && tar xzf onnxruntime-web-$(ORT_WEB).tgz package/dist/ort.wasm.min.mjs \
	package/dist/ort-wasm-simd-threaded.mjs package/dist/ort-wasm-simd-threaded.wasm
	mv .venv/npm/package/dist $@
	rm -r .venv/npm

COMPILE := .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11

lock: $(READY)  ## all locks anew, with the newest versions that pyproject.toml allows; the service's has those of requirements.lock
	$(COMPILE) --extra dev pyproject.toml --upgrade --output-file requirements.lock
	$(COMPILE) --extra dev pyproject.toml --upgrade --extra gpu --output-file requirements-gpu.lock
	$(COMPILE) --extra dev pyproject.toml --upgrade --extra bench --output-file requirements-bench.lock
	$(COMPILE) --group serve --upgrade --constraints requirements.lock --output-file requirements-serve.lock
