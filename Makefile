# Two commands are all the set-up: `make demo` and `make test`. Each makes .venv where it isn't there yet.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TRAINED := out/train-demo
# The suite's own threads: test workers on two cores must not start two torch threads each.
# Ray's workers would stand behind every other process (nice 15), the suite's own too.
TEST_ENV := RAY_worker_niceness=0 OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0 RAY_DEDUP_LOGS=0 PYTHONWARNINGS=ignore
# Of `make test`, on two cores: many tests wait for Ray's processes to start. Each takes up to 2 GB.
WORKERS ?= 3

.PHONY: demo train-demo serve test lint check test-long test-lowest test-crash soak fuzz bench store clean

$(READY): pyproject.toml
	@echo "installing into .venv: about 2 minutes, 2 GB"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(READY)  ## draw a catalog, run it through local Ray, print what became of every item
	$(BIN)/python -m pipelines demo --out out/demo

# Killed at any point, the same command goes on from the last checkpoint.
train-demo: $(READY)  ## train on two workers by Ray Train, export, make a catalog's pictures with what came out
	$(BIN)/python -m training run parser_demo --output $(TRAINED) --cache $(TRAINED)/cache --resume --launcher ray --workers 2
	$(BIN)/python -m training export parser_demo --output $(TRAINED) --to $(TRAINED)/weights
	$(BIN)/python -m atelier closet catalog --items 8 --seed 5 --size 256x192 --out $(TRAINED)/catalog
	$(BIN)/python -m pipelines run closet --weights parser=$(TRAINED)/weights --catalog $(TRAINED)/catalog/catalog.csv --output $(TRAINED)/made

lint: $(READY)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

check: lint  ## lint, and the unit tests
	$(TEST_ENV) $(BIN)/pytest -m 'not slow and not long and not crash and not soak' -n 2 --dist loadfile --no-loadscope-reorder

serve: $(READY)  ## the models online, and a page to try them, at http://127.0.0.1:8000/, until Ctrl-C
	$(BIN)/python -m serving run --anonymous

test: $(READY)  ## every test but the long and the crash tests
	$(TEST_ENV) $(BIN)/pytest -m 'not long and not crash and not soak' -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-long: $(READY)  ## what takes minutes or a quiet machine: compiled networks, a demo by all systems, a service told to stop
	$(TEST_ENV) $(BIN)/pytest -m long

test-lowest: $(READY)  ## the unit tests with the oldest libraries that pyproject.toml admits (Python 3.11; 7 GB, as the oldest torch brings CUDA)
	$(PYTHON) -m venv .venv-lowest
	$(BIN)/python -m infra.lowest > .venv-lowest/lowest.txt
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check -c .venv-lowest/lowest.txt -e '.[dev]'
	$(TEST_ENV) .venv-lowest/bin/pytest -m 'not slow and not long and not crash and not soak' -n 2 --dist loadfile --no-loadscope-reorder

test-crash: $(READY)  ## kills processes for real
	$(TEST_ENV) $(BIN)/pytest tests/crash -m 'crash and not long' -n 2 --dist loadfile --no-loadscope-reorder

soak: $(READY)  ## machines, and all that a service stands on, killed in turns for an hour; SOAK_MINUTES says how long each
	$(TEST_ENV) $(BIN)/pytest tests/crash -m soak

fuzz: $(READY)  ## the service against its own document, and 10,000 damaged pictures: some minutes
	FUZZ_EXAMPLES=300 $(TEST_ENV) $(BIN)/pytest tests/serving/test_document.py
	$(TEST_ENV) $(BIN)/python -m tests.serving.fuzz --pictures 10000

bench: $(READY)  ## the job against a bare loop, side by side
	$(BIN)/python -m benchmarks.batch

store: $(READY)  ## a real S3 server on loopback, in the foreground
	$(BIN)/python -m infra.store

clean:
	rm -rf .venv .venv-lowest out .store
