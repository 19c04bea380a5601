# Two commands are all the set-up: `make demo` and `make test`. Each makes .venv where it isn't there yet.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# The suite's own threads: two test workers on two cores must not start four torch threads each.
TEST_ENV := OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0 RAY_DEDUP_LOGS=0 PYTHONWARNINGS=ignore

.PHONY: demo test check test-crash bench store clean

$(READY): pyproject.toml
	@echo "installing into .venv: about 2 minutes, 2 GB"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(READY)  ## draw a catalog, run it through local Ray, print what became of every item
	$(BIN)/python -m pipelines demo --out out/demo

check: $(READY)  ## lint, types, import contracts, unit tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(TEST_ENV) $(BIN)/pytest -m 'not slow and not crash' -n 2 --dist loadgroup

test: $(READY)  ## every test but the crash tests
	$(TEST_ENV) $(BIN)/pytest -m 'not crash' -n 2 --dist loadgroup

test-crash: $(READY)  ## kills processes for real
	$(TEST_ENV) $(BIN)/pytest -m crash

bench: $(READY)  ## the job against a bare loop, side by side
	$(BIN)/python -m benchmarks.batch

store: $(READY)  ## a real S3 server on loopback, in the foreground
	$(BIN)/python -m infra.store

clean:
	rm -rf .venv out .store
