# Every target makes its own set-up; the second time that costs a tenth of a second.
# Recipes use relative paths, so that the folder may have any name.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint lint-format lint-ruff lint-types lint-imports lint-dependencies \
        format dist kill-points bad-input detection drift labelled bench lock clean

# Shoal runs on the Python, Spark and Java of its own .venv, whatever the shell is set to.
unexport PYTHONHOME PYTHONPATH SPARK_HOME SPARK_CONF_DIR
unexport PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON PYSPARK_DRIVER_PYTHON_OPTS PYSPARK_SUBMIT_ARGS

BIN := .venv/bin
# The Java that set-up has chosen and checked.
JAVA := . .venv/shoal-env &&
ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## .venv with the locked packages, Java, Delta's jars (PYTHON=… names the Python)
	@PYTHON="$(PYTHON)" sh tools/setup.sh

demo: setup ## a sample read, a fleet simulated, its nights run, its lists held against the truth
	@$(JAVA) $(BIN)/python tools/demo.py

test: setup ## all tests (ARGS='-m "not spark and not e2e"' for those without a JVM)
	@$(JAVA) $(BIN)/python -m pytest $(ARGS)

lint: lint-format lint-ruff lint-types lint-imports lint-dependencies ## every check short of the tests

lint-format: setup
	@$(BIN)/ruff format --check .

lint-ruff: setup
	@$(BIN)/ruff check .

lint-types: setup
	@$(BIN)/mypy --strict lib

lint-imports: setup
	@$(BIN)/lint-imports --no-logo

lint-dependencies: setup
	@$(BIN)/deptry .

format: setup ## put code into its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

dist: setup ## dist/: the wheel, and the same as a .zip for spark-submit --py-files; needs no network
	@rm -rf dist
	@$(BIN)/python -m build --wheel --no-isolation .
	@for wheel in dist/shoal-*.whl; do cp "$$wheel" "$${wheel%%-py3-*}.zip"; done
	@ls -l dist

kill-points: setup ## kill a night before each of its commits, run it again, compare: a table
	@$(JAVA) PYTHONPATH=lib:. $(BIN)/python tests/e2e/kill_points.py $(ARGS)

bad-input: setup ## everything that can arrive broken, and what becomes of it: a table
	@$(JAVA) PYTHONPATH=lib:. $(BIN)/python tests/e2e/bad_inputs.py $(ARGS)

detection: setup ## fleets that nobody has looked at, and what the lists find in them: tables (half an hour)
	@$(JAVA) $(BIN)/python tools/detection.py $(ARGS)

drift: setup ## planted changes of a fleet, and what the nights after them say: tables (40 minutes)
	@$(JAVA) $(BIN)/python tools/drift.py $(ARGS)

labelled: setup ## the detector beside others on the .npz of a folder: TABLES=folder (half an hour for 20)
	@$(BIN)/python tools/labelled_tables.py $(TABLES) $(ARGS)

bench: setup ## what models cost, as ratios to scikit-learn and numpy (ARGS='--only scoring')
	@$(JAVA) PYTHONPATH=lib:. $(BIN)/python tests/benchmarks/models.py $(ARGS)

# uv resolves for all Pythons and platforms at once; it stays out of site-packages. Versions that still
# fit are kept: ARGS=--upgrade moves them all, ARGS='--upgrade-package rich' one.
lock: setup ## requirements.lock anew, after a change of dependencies in pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target .venv/uv uv
	@.venv/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --all-extras --no-annotate --no-emit-index-url --no-emit-find-links \
	    --custom-compile-command 'make lock' $(ARGS) -o requirements.lock pyproject.toml

clean: ## remove what tools leave behind; .venv and warehouse/ stay
	@rm -rf dist spark-warehouse metastore_db derby.log
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
