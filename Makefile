PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test bench lint docs keras-tests clean

demo: $(VENV)/.examples
	@echo "== Keras on leptonc: examples/keras_faces.py"
	$(BIN)/python examples/keras_faces.py
	@echo "== The step alone, compiled and op by op: examples/face_recognition.py"
	$(BIN)/python examples/face_recognition.py --out out
	@echo "== Pictures and texts of every stage of the compilation are in out/"

# Two processes: most of a test's time is compiling, which takes one core. Bytecode is kept whatever the environment says: each of
# the hundred programs that tests start would compile leptonc's sources anew.
test: $(VENV)/.dev
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2 --dist worksteal

bench: $(VENV)/.examples
	$(BIN)/python -m leptonc bench

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy leptonc

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Keras's own tests, in an environment of their own: some compare with JAX or TensorFlow.
keras-tests: $(VENV)-keras/.ready
	$(VENV)-keras/bin/python -m tests.keras_suite

$(VENV)-keras/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-keras
	$(VENV)-keras/bin/python -m pip install -q -e '.[keras,low]' keras==3.15.1 pytest jax tensorflow-cpu grain tensorboardX pandas scikit-learn
	@touch $@

clean:
	rm -rf build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)*/*' -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp per extra: pip runs once, and again when pyproject.toml changes.
$(VENV)/.%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -e '.[$*]'
	@touch $@
