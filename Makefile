# make run    the default study, from nothing to figures and a report
# make test   all tests
# make lint   formatting and static checks
# make figures   redraw figures from the tables that exist
# make plan   what the paper's study will cost; another one: make plan STUDY=config/config.yaml
# make clean  remove the default study's results (the environment stays)

PYTHON ?= python3
CORES ?= $(shell nproc)
BIN := .venv/bin
RESULTS := results/mini
STUDY ?= config/paper.yaml

# Threads that wait by spinning starve those that work.
export OMP_WAIT_POLICY = PASSIVE

.PHONY: run test lint figures plan clean
.DELETE_ON_ERROR:

run: .venv/study
	@$(BIN)/snakemake --cores $(CORES)
	@echo "Figures: $(RESULTS)/figures/   Report: $(RESULTS)/report.html"

figures: .venv/study
	@$(BIN)/snakemake --cores $(CORES) figures
	@echo "Figures: $(RESULTS)/figures/"

plan: .venv/study
	@$(BIN)/equidyn plan --config $(STUDY)

test: .venv/test
	@$(BIN)/python -m pytest

lint: .venv/study .venv/lint
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/snakefmt --check Snakefile rules
	@$(BIN)/snakemake --lint

clean:
	rm -rf $(RESULTS)

# One environment; each stamp says that an extra of pyproject.toml is installed in it.
.venv/study .venv/test .venv/lint: .venv/%: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing equidyn[$*] into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@
