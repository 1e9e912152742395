# Two commands on a fresh machine do everything: make demo, make test.
PYTHON ?= python3
TEST_PROCESSES ?= 3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

# An environment that forbids byte code would have each process of the tests compile all anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: pictures demo test check fuzz test-peers test-install demo-checkpoint demo-adapter demo-photos demo-evaluate clean

# On OpenVINO: the same rows as with torch, in a tenth of the download.
demo: .venv/installed
	$(BIN)/shenhe demo --engine openvino

# One thread of torch's a process: more threads than cores slow each other tenfold. One process more
# than CI's cores: some are always waiting for a server, a browser or a child.
# A process takes the next file of tests as it ends one, those that take longest first: see
# tests/conftest.py. A test that fails is run once more, and named in any case: many of them watch
# real processes on a machine that may be busy. A process of the tests that dies ends the run: what
# it had left would be waited for without end.
test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not peers" -n $(TEST_PROCESSES) --dist loadscope \
	  --no-loadscope-reorder --reruns 1 --max-worker-restart 0

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2

# Not for CI: each parser of what others wrote, for FUZZ_SECONDS. Without a wheel of atheris for this
# Python it goes on without looking at what is covered. One parser: make fuzz PARSERS=caption
# Before that API_EXAMPLES requests for each operation of the service.
FUZZ_SECONDS ?= 600
API_EXAMPLES ?= 2000
fuzz: .venv/installed-dev
	-$(PIP) install 'atheris>=3,<4'
	API_EXAMPLES=$(API_EXAMPLES) $(BIN)/python -m pytest tests/service/test_openapi.py
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(PARSERS)

test-peers: .venv/installed-dev
	$(BIN)/python -m pytest -m peers --timeout 3600 -o faulthandler_timeout=0

# Every way to install, each in an environment of its own, and a table: 7 GB at most at one time.
# Some of them: make test-install INSTALLS="thin local"
test-install:
	$(PYTHON) -m recipes.installs $(INSTALLS)

# Training is resumable: what is under .demo-build goes on from its last state.
demo-checkpoint: .venv/installed-dev
	$(BIN)/python -m recipes.demo_checkpoint.train --until base

demo-adapter: .venv/installed-dev
	$(BIN)/python -m recipes.demo_checkpoint.train

demo-photos: .venv/installed-dev
	$(BIN)/python -m recipes.demo_checkpoint.demo_photos

demo-evaluate: .venv/installed-dev
	$(BIN)/python -m recipes.demo_checkpoint.evaluate --model demo --adapters demo

# A Python of 3.11 brings a pip that takes twice the time; without a newer one that will do.
# Byte code is written on all cores, after pip, which would do it on one; that of modules which
# hardly anybody imports is left to their first import: it is more than half of all.
NEWEST_PIP = -$(PIP) install --upgrade pip
INSTALL = $(PIP) install --no-compile -c constraints.txt
SELDOM := transformers/models|torch/(testing|distributed|_inductor)|sympy|pandas|networkx|moto|pip
COMPILE = $(BIN)/python -m compileall -q -j 0 -x '/($(SELDOM))/' .venv/lib > /dev/null || true

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(NEWEST_PIP)
	$(INSTALL) -e '.[openvino]'
	$(COMPILE)
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(NEWEST_PIP)
	$(INSTALL) -e '.[dev]'
	$(COMPILE)
	touch .venv/installed $@

# The pictures of the README and the docs, of real pages; needs Chromium.
pictures: .venv/installed-dev
	$(BIN)/python -m recipes.pictures

clean:
	rm -rf .venv .demo-build shenhe-demo
