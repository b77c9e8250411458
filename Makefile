# make   this help
# make run   the default study, from raw data to figures and a report; or that of config/cpu.yaml: make run STUDY=cpu
# make check   formatting, static checks, imports, types and tests of functions
# make test   all tests that need neither SLURM nor long waits
# make test-ci   the checks and the tests that continuous integration runs, all but the longest
# make test-all   the checks and all tests
# make oldest   install the oldest versions that the ranges admit and test equidyn.measure with them; downloads 3 GB
# make torture   interrupt a small study 50 times and compare it with one left alone; or INTERRUPTIONS=200 SEED=1
# make lint   the checks without tests
# make figures   redraw figures, claims and reports of the published studies from their tables; or STUDY=cpu alone; FORMATS=png,pdf
# make rehearsal   the GPU study in ten steps on the CPU: every network and every analysis
# make lock   resolve envs/lock.txt anew where pyproject.toml has changed; LOCK=--upgrade takes the newest versions
# make reference   renew what the documentation says of the configuration, from the library, and of results, from results/cpu
# make docs   build the site of the documentation; a link or a name that leads nowhere is an error
# make pack   make an archive of each published study, with a data sheet and checksums; of results/mini: make pack STUDY=mini
# make unpack ARCHIVE=cpu.tar.gz   check such an archive and unpack it into results/, or INTO=another/folder
# make plan   estimate the costs of the paper's study; of that of config/gpu.yaml: make plan STUDY=gpu
# make clean   remove the default study's results (the environment stays)
# make clean-figures   remove the published studies' figures and reports, which make figures draws again; or STUDY=cpu

PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
# A study goes by its name, by which it has a configuration in config/ and a folder in results/.
STUDY ?=
CONFIG = $(STUDY:%=config/%.yaml)
# Those that are published and finished here.
STUDIES := $(or $(STUDY),$(patsubst results/%/manifest.json,%,$(wildcard $(addprefix results/,cpu/manifest.json gpu/manifest.json))))
INTO ?= results
FORMATS ?= png
INTERRUPTIONS ?= 50
# Tests of functions alone: they train, draw and start nothing.
UNITS := $(addprefix tests/,core study claims report tasks test_cli.py test_imports.py test_names.py test_project.py)
# A file's tests stay in one process, as they share what takes long to make; the longest files come first (conftest.py).
PYTEST = $(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder

# Threads that wait by spinning starve those that work.
export OMP_WAIT_POLICY = PASSIVE

# A study by name may train MACE, as those of config/cpu.yaml and config/gpu.yaml do.
NAMED := $(if $(STUDY),.venv/study .venv/mace)
# Output of targets that run in parallel is kept apart by GNU Make from version 4 on; macOS has 3.81.
TOGETHER := $(if $(filter output-sync,$(.FEATURES)),--output-sync)

DRAWN := $(STUDIES:%=figures/%)
PACKED := $(STUDIES:%=pack/%)

.PHONY: help oldest run check test test-ci test-all torture lint style rules imports types units figures rehearsal pack unpack plan reference docs lock \
	clean clean-figures
.PHONY: $(DRAWN) $(PACKED)
.DELETE_ON_ERROR:

help:
	@awk -F '   +' '/^# make/ {printf "%-30s %s\n", substr($$1, 3), $$2}' Makefile

run: $(CONFIG) .venv/study $(NAMED)
	@$(BIN)/snakemake --cores $(CORES) $(if $(STUDY),--configfile $(CONFIG))

# What is in a fresh clone has no history that Snakemake could go by: everything is drawn. Checksums of tables, which
# Snakemake would take anew for each file that is made from them, serve nothing then. Jobs per second are not limited,
# as Snakemake ends only when the last second of such a limit is over.
figures: $(STUDIES:%=results/%/config.yaml) .venv/workflow
	@$(MAKE) --jobs $(CORES) --no-print-directory $(TOGETHER) $(DRAWN)

$(DRAWN): figures/%: .venv/workflow
	@$(BIN)/snakemake figures report --cores $(CORES) --forceall --quiet rules --max-jobs-per-timespan 100/0s \
		--max-checksum-file-size 0 \
		--configfile results/$*/config.yaml --config archive=True results=$(patsubst %/,%,$(dir results/$*)) \
		"figures={formats: [$(FORMATS)]}"

rehearsal: .venv/study .venv/mace
	@$(BIN)/python benchmarks/rehearsal.py

pack: $(PACKED)

$(PACKED): pack/%: results/%/config.yaml .venv/archive
	@$(BIN)/equidyn pack results/$*

unpack: .venv/workflow
	@$(BIN)/equidyn unpack $(ARCHIVE) --into $(INTO)

reference: .venv/workflow
	@$(BIN)/equidyn reference config/README.md README.md $(addprefix docs/,glossary.md results.md findings.md claims.md)

docs: .venv/docs
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs -d build/doctrees . build/docs
	@echo "Documentation: build/docs/index.html"

lock: .venv/test
	@$(BIN)/uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --annotation-style line --quiet \
		--custom-compile-command "make lock" --output-file envs/lock.txt $(LOCK)

plan: $(CONFIG) .venv/workflow $(NAMED)
	@$(BIN)/equidyn plan --config $(or $(CONFIG),config/paper.yaml)

check: .venv/test
	@$(MAKE) --jobs $(CORES) --no-print-directory $(TOGETHER) style rules imports types units

test: .venv/test
	@$(PYTEST) -m "not slow and not slurm"

test-ci: lint
	@$(PYTEST) -m "not long and not slurm"

test-all: lint
	@$(PYTEST)

oldest: .venv/test
	@.ci/oldest

torture: .venv/test
	@PYTHONPATH=tests:tests/helpers $(BIN)/python -m torture.bench \
		--interruptions $(INTERRUPTIONS) $(if $(SEED),--seed $(SEED)) --cores $(CORES)

lint: style rules imports types

style: .venv/test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

rules: .venv/test
	@$(BIN)/snakefmt --check Snakefile rules
	@$(BIN)/snakemake --lint

imports: .venv/test
	@$(BIN)/lint-imports

types: .venv/test
	@$(BIN)/mypy

units: .venv/test
	@$(PYTEST) --quiet $(UNITS)

clean:
	rm -rf results/mini

clean-figures:
	rm -rf $(foreach study,$(STUDIES),results/$(study)/figures results/$(study)/report.html)

# What a study's name stands for is there, or the name is wrong or comes too early. The default study goes without a
# name, and the rehearsal's file is a part of one.
config/%.yaml: NAMES = $(filter-out config rehearsal,$(sort $(patsubst config/%.yaml,%,$(wildcard config/*.yaml))))
config/%.yaml:
	@test -e $@ || { echo "STUDY=$*: there is no $@; there are $(NAMES)" >&2; exit 1; }

results/%/config.yaml:
	@test -e $@ || { echo "STUDY=$*: its results are not here, as there is no $@; make run STUDY=$* makes them" >&2; exit 1; }

# One environment; each stamp says that an extra of pyproject.toml is installed in it, as the lock has it.
.venv/workflow .venv/study .venv/mace .venv/archive .venv/docs .venv/test: .venv/%: pyproject.toml envs/lock.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing equidyn[$*] into .venv"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint envs/lock.txt --editable ".[$*]"
	@touch $@
