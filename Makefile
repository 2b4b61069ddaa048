# Two commands: `make demo` and `make test`. Both make .venv first where it is missing.
PYTHON ?= python3
BIN    := .venv/bin

.PHONY: demo test lab clean

demo: .venv/ready
	$(BIN)/python run_all.py params/demo.yaml

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lab: .venv/ready
	$(BIN)/jupyter lab notebooks

clean:
	rm -rf outputs

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test]"
	touch $@
