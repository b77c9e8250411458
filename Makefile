# make run    the default study, from nothing to figures and a report
# make test   all tests
# make lint   formatting and static checks
# make figures   all figures, claims and the report of the published study, from its tables alone; FORMATS=png,pdf,svg
# make pack   an archive of the published study, with checksums; another one: make pack RESULTS=results/mini
# make unpack ARCHIVE=cpu.tar.gz   check such an archive and put it into results/, or INTO=another/folder
# make plan   what the paper's study will cost; another one: make plan STUDY=config/config.yaml
# make clean   remove the default study's results (the environment stays)
# make clean-figures   remove the published study's figures and report, which make figures brings back

PYTHON ?= python3
CORES ?= $(shell nproc)
BIN := .venv/bin
STUDY ?= config/paper.yaml
RESULTS ?= results/cpu
INTO ?= results
FORMATS ?= png

# Threads that wait by spinning starve those that work.
export OMP_WAIT_POLICY = PASSIVE

.PHONY: run test lint figures pack unpack plan clean clean-figures
.DELETE_ON_ERROR:

run: .venv/study
	@$(BIN)/snakemake --cores $(CORES)
	@echo "Figures: results/mini/figures/   Report: results/mini/report.html"

# What is in a fresh clone has no history that Snakemake could go by: everything is drawn. Jobs per second are not
# limited, as Snakemake ends only when the last second of such a limit is over.
figures: .venv/workflow
	@$(BIN)/snakemake figures report --cores $(CORES) --forceall --quiet rules --max-jobs-per-timespan 100/0s \
		--config results=archive "figures={formats: [$(FORMATS)]}"
	@echo "Figures: results/cpu/figures/   Report: results/cpu/report.html"

pack: .venv/workflow
	@$(BIN)/equidyn pack $(RESULTS)

unpack: .venv/workflow
	@$(BIN)/equidyn unpack $(ARCHIVE) --into $(INTO)

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
	rm -rf results/mini

clean-figures:
	rm -rf results/cpu/figures results/cpu/report.html

# One environment; each stamp says that an extra of pyproject.toml is installed in it.
.venv/workflow .venv/study .venv/test .venv/lint: .venv/%: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing equidyn[$*] into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@
