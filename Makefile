# Everything needs only Python 3.11 or newer, make and a package index. `make demo` and `make test` install what they need, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
PROJECT := pyproject.toml constraints.txt src/promisam/__init__.py
export OMP_NUM_THREADS ?= 1

.PHONY: demo test check check-page page docs benchmark clean

demo: $(VENV)/.installed  ## install, fetch the default weights, segment two real images
	OMP_NUM_THREADS=2 $(BIN)/promisam demo -o demo-out

test: $(VENV)/.installed-test check check-page  ## all checks and tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered --durations=10

check: $(VENV)/.installed-test  ## style, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-page:  ## the page's types and logic, where npm is at hand; the bundle itself is part of the package
	if command -v npm > /dev/null; then cd web && npm ci --no-audit --no-fund --silent && npm run -s check && npm test --silent; \
	else echo "no npm: the page's own tests are left out"; fi

page:  ## build the page anew into the package
	cd web && npm ci --no-audit --no-fund && npm run build

docs: $(VENV)/.installed-test  ## the documentation into site/, warnings as errors; `mkdocs serve` shows it while it is written
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir site

benchmark: $(VENV)/.installed-test  ## speed, zero-shot accuracy, propagation, as recorded in benchmarks/results.md
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/zero_shot_boxes.py
	$(BIN)/python benchmarks/propagation.py

clean:
	rm -rf $(VENV) demo-out site build dist src/*.egg-info .mypy_cache .ruff_cache .coverage

$(VENV)/.torch: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt torch==2.13.0  # alone and first, so that nothing pulls in another build
	touch $@

$(VENV)/.installed: $(VENV)/.torch $(PROJECT)
	$(PIP) install -c constraints.txt -e '.[dicom,web]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dicom,register,web,onnx,docs,test]'
	touch $@
