# `make` alone is what CI runs after the tests' set-up: lint, types, tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO := demo-output
# Where bytecode is not kept, each process compiles all of the house anew: a tenth of the tests' time.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest
SERCACHE := SERCACHE_CACHE=$(DEMO)/cache SERCACHE_RUNS=$(DEMO)/runs $(BIN)/sercache

.PHONY: all demo docs test test-processors test-oldest test-newest test-kernels test-slow test-gpu test-slurm explore golden lint types format bench bench-gpu
.PHONY: reproduce clean url
all: lint types test

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# One stamp per set of extras: installing is done once, and again when the requirements change.
$(VENV)/.installed-demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing sercache into $(VENV) (some minutes the first time)"
	$(PIP) -e '.[demo,report]'
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing sercache and what its tests need into $(VENV) (some minutes the first time)"
	$(PIP) -e '.[dev]'
	@touch $@

# What sercache is for; its commands can be typed as they stand.
SPEAKERS := --protocol leave-one-speaker-out --normalise global --seeds 1
WAVLM := --encoder demo-wavlm --dataset demo
LOGMEL := --encoder logmel --dataset demo
demo: $(VENV)/.installed-demo
	@echo "== 1. Two encoders run over a small corpus, once; the cache keeps every state"
	$(SERCACHE) extract $(LOGMEL)
	$(SERCACHE) extract $(WAVLM)
	$(SERCACHE) info
	@echo "== 2. Five heads by leave-one-speaker-out, ten trainings each; no encoder runs"
	$(SERCACHE) train --head logistic $(WAVLM) $(SPEAKERS) --states 3 --name logistic
	$(SERCACHE) train --head linear $(WAVLM) $(SPEAKERS) --set max-epochs=15 --name linear
	$(SERCACHE) train --head mlp $(WAVLM) $(SPEAKERS) --set max-epochs=15 --name mlp
	$(SERCACHE) train --head layer-attention $(WAVLM) $(SPEAKERS) --set max-epochs=10 --name layer-attention
	$(SERCACHE) train --head superb $(WAVLM) $(SPEAKERS) --set max-epochs=15 --set lr=1e-3 --name superb
	@echo "== 3. One of them on the other encoder: what differs is the features alone"
	$(SERCACHE) train --head superb $(LOGMEL) $(SPEAKERS) --set max-epochs=15 --set lr=1e-3 --name superb-logmel
	@echo "== 4. Which block knows most of emotion?"
	$(SERCACHE) probe $(WAVLM) --states blocks
	@echo "== 5. Do the heads differ? A paired test over speakers"
	$(SERCACHE) compare $(addprefix $(DEMO)/runs/,logistic linear mlp layer-attention superb superb-logmel) --metric ua
	@echo "== 6. A recording, as a head hears it that this speaker did not train (fold D01F)"
	$(SERCACHE) predict $(DEMO)/runs/mlp $(DEMO)/cache/demo-corpus/wav/D01F_en1_anger.wav --fold D01F
	@echo "== 7. All runs side by side, and how often no encoder ran"
	$(SERCACHE) report
	@echo "== 8. One of them as a page, with pictures, errors and recordings to listen to: open $(DEMO)/mlp.html"
	$(SERCACHE) report $(DEMO)/runs/mlp --html $(DEMO)/mlp.html

# One thread in each of the test processes, as many processes as there are cores; a file's tests go to one of them,
# so that what they share is made once.
test: $(VENV)/.installed-dev
	$(PYTEST) -n auto --dist loadfile -m "not slow and not cuda"

# As `make test`, as other processors compute: older instructions, other kernels, two threads.
test-processors: $(VENV)/.installed-dev
	$(BIN)/python tests/processors.py

# Property tests on examples that no run has seen, ROUNDS times; a failing one becomes a test of its own.
ROUNDS ?= 20
explore: $(VENV)/.installed-dev
	for round in $$(seq $(ROUNDS)); do \
	    $(PYTEST) -q -n auto -m "hypothesis and not slow" --hypothesis-profile=explore || exit 1; \
	done

# Each process begins with a half of the tests in their order, and takes from the other's when its own are done: a file
# of ten minutes would leave the second core idle.
test-slow: $(VENV)/.installed-dev
	$(PYTEST) -n auto --dist worksteal -m slow

# The wheel bare and with each extra alone, then the fast tier, on the oldest and newest versions that pyproject.toml
# allows. TORCH names another version of torch than that.
test-oldest test-newest: $(VENV)/.installed-dev
	$(PIP) uv
	$(BIN)/python tests/versions.py $(@:test-%=%) $(TORCH:%=--torch %)

# Kernels for graphics cards, without one: run in Triton's interpreter, then compiled for Ampere and Hopper.
test-kernels: $(VENV)/.installed-dev
	$(PIP) triton
	TRITON_INTERPRET=1 $(BIN)/pytest tests/test_kernels.py
	$(BIN)/pytest tests/test_kernels.py

# On a machine with a CUDA card, in under four minutes; elsewhere it says that there is none. TESTS names a part.
# It installs nothing: PYTHON needs torch, transformers and what sercache reads and writes with, pytest and pytest-xdist.
test-gpu:
	OMP_NUM_THREADS=4 $(PYTHON) -m pytest -q -p no:benchmark -n 4 --dist loadgroup -m cuda $(or $(TESTS),$(wildcard tests/test_cuda_*.py))

# On a real Slurm of two virtual nodes on this host: apt-get install slurmctld slurmd slurm-client munge; as root.
test-slurm: $(VENV)/.installed-dev
	SERCACHE_TEST_SLURM=1 OMP_NUM_THREADS=1 $(BIN)/pytest -q -m slurm

# What trainings come to (tests/golden.py) and what commands leave (tests/golden_line.py), where it was meant to change.
golden: $(VENV)/.installed-dev
	$(BIN)/python tests/golden.py
	$(BIN)/python tests/golden_line.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documentation as a site in build/site, without a warning; nothing is fetched. Search in it needs a server:
# python -m http.server --directory build/site
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/extract.py
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/startup.py

# One CUDA device: encoder, line around it, disk and training against the card's limits; without one it says so.
bench-gpu: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/gpu.py

# Plain `reproduce-table3` is of Ioannides et al.; of the others: reproduce-pepino-table1, reproduce-chen-figure2, …
# Of EmoBox what is named: make reproduce-emobox ROWS='--dataset emodb --root emobox=EmoBox'; reproduce-emobox-table4: all.
# More options: make reproduce-pepino-table1 ROWS='--rows eGeMAPS --only-available'
reproduce: $(VENV)/.installed-demo
	$(BIN)/sercache reproduce

reproduce-table%: $(VENV)/.installed-demo
	$(BIN)/sercache reproduce ioannides2023 table$*

reproduce-figure%: $(VENV)/.installed-demo
	$(BIN)/sercache reproduce ioannides2023 figure$*

reproduce-%: $(VENV)/.installed-demo
	$(BIN)/sercache reproduce $(subst -, ,$*) $(ROWS)

# Where the project lives, in all files that name it: make url URL=https://github.com/somebody/sercache
url:
	@test -n "$(URL)" || { echo "make url: URL is empty, expected one: make url URL=https://github.com/somebody/sercache"; exit 2; }
	sed -i.before "s#$$(sed -n 's/^repository-code: //p' CITATION.cff)#$(URL)#" pyproject.toml CITATION.cff mkdocs.yml
	rm pyproject.toml.before CITATION.cff.before mkdocs.yml.before

clean:
	rm -rf $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
