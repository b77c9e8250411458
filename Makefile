# make   this help
# make run   the default study, from nothing to figures and a report; or another one: make run STUDY=config/cpu.yaml
# make check   formatting, static checks, imports, types and tests of functions, within a minute
# make test   all tests that need neither SLURM nor long waits
# make test-all   the checks and all tests, as continuous integration runs them
# make oldest   install the oldest versions that the ranges admit and test equidyn.measure with them; downloads 3 GB
# make torture   interrupt a small study 50 times and compare it with one left alone; or INTERRUPTIONS=200 SEED=1
# make lint   the checks without tests
# make figures   redraw all figures, claims and the report of the published study from its tables; FORMATS=png,pdf,svg
# make lock   resolve envs/lock.txt anew where pyproject.toml has changed; LOCK=--upgrade takes the newest versions
# make reference   renew the tables of config/README.md from the descriptions in the library
# make docs   build the site of the documentation; a link or a name that leads nowhere is an error
# make pack   make an archive of the published study, with checksums; of another study: make pack RESULTS=results/mini
# make unpack ARCHIVE=cpu.tar.gz   check such an archive and unpack it into results/, or INTO=another/folder
# make plan   estimate the costs of the paper's study; of another study: make plan STUDY=config/gpu.yaml
# make clean   remove the default study's results (the environment stays)
# make clean-figures   remove the published study's figures and report, which make figures draws again

PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
STUDY ?=
RESULTS ?= results/cpu
INTO ?= results
FORMATS ?= png
INTERRUPTIONS ?= 50
# Tests of functions alone: they train, draw and start nothing.
UNITS := $(addprefix tests/,core study claims report tasks test_cli.py test_imports.py test_names.py test_project.py)
# A file's tests stay in one process, as they share what takes long to make; the longest files come first (conftest.py).
PYTEST = $(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder

# Threads that wait by spinning starve those that work.
export OMP_WAIT_POLICY = PASSIVE

.PHONY: help oldest run check test test-all torture lint style rules imports types units figures pack unpack plan reference docs lock \
	clean clean-figures
.DELETE_ON_ERROR:

help:
	@awk -F '   +' '/^# make/ {printf "%-30s %s\n", substr($$1, 3), $$2}' Makefile

run: .venv/study
	@$(BIN)/snakemake --cores $(CORES) $(if $(STUDY),--configfile $(STUDY))

# What is in a fresh clone has no history that Snakemake could go by: everything is drawn. Jobs per second are not
# limited, as Snakemake ends only when the last second of such a limit is over.
figures: .venv/workflow
	@$(BIN)/snakemake figures report --cores $(CORES) --forceall --quiet rules --max-jobs-per-timespan 100/0s \
		--config archive=True "figures={formats: [$(FORMATS)]}"

pack: .venv/workflow
	@$(BIN)/equidyn pack $(RESULTS)

unpack: .venv/workflow
	@$(BIN)/equidyn unpack $(ARCHIVE) --into $(INTO)

reference: .venv/workflow
	@$(BIN)/equidyn reference config/README.md

docs: .venv/docs
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs -d build/doctrees . build/docs
	@echo "Documentation: build/docs/index.html"

lock: .venv/test
	@$(BIN)/uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --annotation-style line --quiet \
		--custom-compile-command "make lock" --output-file envs/lock.txt $(LOCK)

plan: .venv/workflow
	@$(BIN)/equidyn plan --config $(or $(STUDY),config/paper.yaml)

check: .venv/test
	@$(MAKE) --jobs $(CORES) --no-print-directory --output-sync style rules imports types units

test: .venv/test
	@$(PYTEST) -m "not slow and not slurm"

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
	rm -rf results/cpu/figures results/cpu/report.html

# One environment; each stamp says that an extra of pyproject.toml is installed in it, as the lock has it.
.venv/workflow .venv/study .venv/docs .venv/test: .venv/%: pyproject.toml envs/lock.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing equidyn[$*] into .venv"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint envs/lock.txt --editable ".[$*]"
	@touch $@
