PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
OUT ?= result
DATA ?= ../shared/data
export EDGEPRUNE_TEST_DATA ?= $(DATA)

.PHONY: demo test system-test arm-root study-build study-firmware study-verification study-robustness study-pruning study-reach study-evidence reference docs clean

demo: $(INSTALLED)
	$(BIN)/edgeprune build --target cortex-m7 --robust linf:20uV --out $(OUT)

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not system"

system-test: $(INSTALLED)
	apt-get update
	apt-get install -y --no-install-recommends gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm qemu-user-static cmake cppcheck libxml2-utils arduino-builder arduino-ctags
	$(PYTHON) -m venv .venv/platformio
	.venv/platformio/bin/python -m pip install --quiet platformio==6.2.0 scons==4.11.1
	PATH="$$PATH:$(CURDIR)/.venv/platformio/bin" $(BIN)/pytest -m system

# a Debian arm64 folder with the real aarch64 wheels; EDGEPRUNE_ARM_ROOT says where, ~/.cache otherwise
arm-root: $(INSTALLED)
	$(BIN)/python -m tests.studies.arm_root

study-build: $(INSTALLED)
	$(BIN)/python -m tests.studies.build --data $(DATA)

study-firmware: $(INSTALLED)
	$(BIN)/python -m tests.studies.firmware --data $(DATA)

study-verification: $(INSTALLED)
	$(BIN)/python -m tests.studies.verification --data $(DATA)

study-robustness: $(INSTALLED)
	$(BIN)/python -m tests.studies.robustness --data $(DATA)

study-pruning: $(INSTALLED)
	$(BIN)/python -m tests.studies.pruning --data $(DATA)

study-reach: $(INSTALLED) arm-root
	$(BIN)/python -m tests.studies.reach --data $(DATA)

# the page is looked at with a Chromium that is on the machine
study-evidence: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[study]'
	$(BIN)/python -m tests.studies.evidence --data $(DATA)

reference: $(INSTALLED)
	$(BIN)/python -m edgeprune.cli.reference

docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict --config-file docs/site/mkdocs.yml

# torch comes first and exactly: a range would bring in a build with several GB of GPU libraries
$(INSTALLED): pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt torch numpy
	$(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv result result.work build dist
