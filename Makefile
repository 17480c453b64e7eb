PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test bench lint clean

demo: $(VENV)/.examples
	@echo "== Keras on leptonc: examples/keras_faces.py"
	$(BIN)/python examples/keras_faces.py
	@echo "== The step alone, compiled and op by op: examples/face_recognition.py"
	$(BIN)/python examples/face_recognition.py --out out
	@echo "== Pictures and texts of every stage of the compilation are in out/"

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q

bench: $(VENV)/.examples
	$(BIN)/python -m leptonc bench

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy leptonc

clean:
	rm -rf build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp per extra: pip runs once, and again when pyproject.toml changes.
$(VENV)/.%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -e '.[$*]'
	@touch $@
