# Every target creates the virtual environment first, if it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
# Hides TensorFlow's start-up messages; errors are still shown.
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test test-slow test-docs check docs captures results experiments bench bench-peers clean

$(READY): setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,docs]'
	touch $(READY)

demo: $(READY)  ## a real table: BaseDNN and MAIL-Base on MovieLens-100K, three seeds
	$(BIN)/mail run experiments/demo.toml

test: $(READY)  ## the default suite: about 8 minutes on 2 cores
	$(BIN)/python -m pytest

test-slow: $(READY)  ## the tests that take long, or show further cases
	$(BIN)/python -m pytest -m slow

test-docs: $(READY)  ## runs the commands of the README and docs/ with little data: about 4 minutes on 2 cores
	$(BIN)/python -m pytest -m "slow and not alone" -n 2 tests/end_to_end/test_docs.py

check: $(READY)  ## lint, format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The experiments of experiments/RESULTS.md, in its order. Those of REBUILT need files that nobody can download as they
# are.
REBUILT := experiments/table2-kuairand-rebuilt.toml experiments/table2-kuairand-rebuilt-strict.toml \
	experiments/table2-kuairand-rebuilt-long-view.toml \
	experiments/table2-kuairand-rebuilt-long-view-strict.toml \
	experiments/table3-kuairand-rebuilt-long-view.toml experiments/table3-kuairand-rebuilt-long-view-strict.toml \
	experiments/rivals-kuairand-rebuilt-long-view.toml \
	experiments/rivals-kuairand-rebuilt-long-view-strict.toml \
	experiments/table3-kuairand-rebuilt.toml experiments/table3-kuairand-rebuilt-strict.toml \
	experiments/rankers-kuairand-rebuilt.toml experiments/dcnv2-kuairand-rebuilt.toml \
	experiments/mail-dcnv2-kuairand-rebuilt.toml experiments/tuned/several-seeds-dcnv2-kuairand-rebuilt.toml \
	experiments/tuned/against-tuned-dcnv2-kuairand-rebuilt.toml \
	experiments/rivals-kuairand-rebuilt.toml experiments/rivals-kuairand-rebuilt-10-seeds.toml \
	experiments/softmax-kuairand-rebuilt.toml \
	experiments/confirm-kuairand-rebuilt.toml experiments/confirm-kuairand-rebuilt-long-view.toml \
	experiments/tuned/against-tuned-kuairand-rebuilt.toml \
	experiments/rivals-kuairand-rebuilt-strict.toml experiments/softmax-kuairand-rebuilt-strict.toml \
	experiments/confirm-kuairand-rebuilt-strict.toml \
	experiments/tuned/rivals-kuairand-rebuilt-strict.toml \
	experiments/rivals-dmr-kuairand-rebuilt.toml experiments/rivals-dmr-kuairand-rebuilt-strict.toml \
	experiments/confirm-dmr-kuairand-rebuilt-strict.toml \
	experiments/rivals-dmr-kuairand-rebuilt-long-view.toml \
	experiments/rivals-dmr-kuairand-rebuilt-long-view-strict.toml \
	experiments/form-kuairand-rebuilt.toml
EXPERIMENTS := experiments/tuned/table2-ml-100k-strict.toml experiments/table2-ml-100k-strict-10-seeds.toml \
	experiments/rankers-ml-100k-strict.toml \
	experiments/rivals-ml-100k-strict-10-seeds.toml experiments/confirm-ml-100k-strict.toml \
	experiments/confirm-softmax-ml-100k-strict.toml \
	experiments/confirm-dmr-ml-100k-strict.toml \
	experiments/rivals-ml-100k-strict.toml experiments/softmax-ml-100k-strict.toml \
	experiments/table3-ml-100k-strict.toml \
	experiments/form-ml-100k-strict.toml \
	experiments/same-weights-ml-100k.toml experiments/table2-ml-100k.toml experiments/table3-ml-100k.toml \
	experiments/rivals-ml-100k.toml experiments/paper-settings-ml-100k.toml \
	experiments/combinations.toml experiments/combinations-mail.toml experiments/combinations-rivals.toml \
	experiments/combinations-dmr.toml experiments/combinations-strength-1.toml experiments/map.toml

results: $(READY)  ## writes experiments/RESULTS.md from the kept results, without training
	$(BIN)/mail results $(REBUILT) $(EXPERIMENTS) --reading experiments/READING.md --runs runs-tables

experiments: $(READY)  ## trains the missing runs of experiments/RESULTS.md, KuaiRand's excepted: hours
	$(BIN)/mail run $(EXPERIMENTS) --runs runs-tables

docs: $(READY)  ## builds the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

captures: $(READY)  ## writes docs/terminal.md, what commands print on a terminal: 10 minutes on 2 cores, needs tmux
	$(BIN)/python docs/captures.py

bench: $(READY)  ## writes speed and memory into benchmarks/RESULTS.md (45 minutes, 8 GB of disk)
	$(BIN)/python benchmarks/start_up.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/update_every.py
	$(BIN)/python benchmarks/mapped_table.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/preprocess.py

bench-peers: $(READY)  ## times FuxiCTR, DeepCTR-Torch and DeepCTR next to mail (8 minutes; at first downloads gigabytes)
	$(BIN)/python benchmarks/peers.py

clean:  ## removes what make and the tools created, never data or runs
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find mailcli tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
