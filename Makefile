# Two commands on a fresh machine do everything: make demo, make test.
PYTHON ?= python3
TEST_PROCESSES ?= 2
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: pictures demo test check fuzz test-peers test-install demo-checkpoint demo-adapter demo-photos demo-evaluate clean

demo: .venv/installed
	$(BIN)/shenhe demo

# Two processes with a thread of torch's each: more threads than cores slow each other tenfold.
test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not peers" -n $(TEST_PROCESSES) --dist loadscope

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

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
	$(BIN)/python -m pytest -m peers

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

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) install -c constraints.txt -e '.[local]'
	touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@

# The pictures of the README and the docs, of real pages; needs Chromium.
pictures: .venv/installed-dev
	$(BIN)/python -m recipes.pictures

clean:
	rm -rf .venv .demo-build shenhe-demo
