# Two commands do everything: `make run` and `make test`. Both make what they need in .venv first.
PYTHON ?= python3
VENV ?= .venv
LOGS ?= examples/logs
DB ?= telemetry.db
BIN := $(VENV)/bin

.PHONY: run test bare check reference properties faults kill syscalls model fleet cluster fuzz mutants claims bench profile fix clean

run: $(VENV)/.installed
	$(BIN)/tokentail ingest $(LOGS) --db $(DB)
	$(BIN)/tokentail report --db $(DB)

# WORKERS processes run the suite; `$(BIN)/pytest` alone runs it in one.
WORKERS ?= auto
test: check
	$(BIN)/pytest -n $(WORKERS)

# Both commands as on a machine that has next to nothing: an empty environment, and a PATH of links to
# Python, git, make, a shell and coreutils, each where there is one.
BARE ?= .bare
COREUTILS := [ arch b2sum base32 base64 basename basenc cat chcon chgrp chmod chown chroot cksum comm cp csplit \
	cut date dd df dir dircolors dirname du echo env expand expr factor false fmt fold groups head hostid id \
	install join link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste \
	pathchk pinky pr printenv printf ptx pwd readlink realpath rm rmdir runcon seq sha1sum sha224sum sha256sum \
	sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout touch tr \
	true truncate tsort tty uname unexpand uniq unlink users vdir wc who whoami yes
bare: $(VENV)/.installed-dev
	rm -rf $(BARE) && mkdir $(BARE)
	for name in git make sh $(COREUTILS); do \
		for folder in /usr/local/bin /usr/bin /bin; do \
			if [ -x $$folder/$$name ]; then ln -s $$folder/$$name $(BARE)/$$name; break; fi; \
		done; \
	done
	ln -s "$$($(BIN)/python -c 'import os, sys; print(os.path.realpath(sys.executable))')" $(BARE)/python3
	env -i PATH="$(CURDIR)/$(BARE)" make run VENV=$(VENV) DB=$(BARE)/telemetry.db
	env -i PATH="$(CURDIR)/$(BARE)" make test VENV=$(VENV) WORKERS=$(WORKERS)

# A long search for counter-examples: FACTOR times the examples of the suite, new ones each time.
FACTOR ?= 30
properties: $(VENV)/.installed-dev
	TOKENTAIL_EXAMPLES_FACTOR=$(FACTOR) $(BIN)/pytest tests/test_properties.py tests/test_identity.py \
		tests/test_merge.py tests/test_prune.py tests/test_retry.py tests/test_executors_rows.py

# Every scenario of docs/reliability.md in every mode, with the other tailers that are installed beside it;
# ONLY="R07 R26" plays some. The table goes into the document.
ONLY ?=
faults: $(VENV)/.installed-dev
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check pygtail
	$(BIN)/python -m faults --others $(if $(ONLY),$(ONLY),--write docs/reliability.md)

# N kills at random moments, and one at every EVERY-th boundary (0: none); N random lives of a folder.
N ?= 5000
EVERY ?= 1
kill: $(VENV)/.installed-dev
	$(BIN)/python -m faults.kill --number $(N) --every $(EVERY) $(if $(SEED),--seed $(SEED))

# An error, errors and a kill at every EVERY-th call of the system in one life; it needs strace. ONLY="POINT ..."
# plays some by their names.
syscalls: $(VENV)/.installed-dev
	$(BIN)/python -m faults.syscalls --every $(EVERY) $(ONLY)

model: $(VENV)/.installed-dev
	$(BIN)/python -m faults.model --number $(N) $(if $(SEED),--seed $(SEED))

# Faults put into a copy of the tree, one at a time: the suite must notice each. All that have a name, and N
# changes (200) drawn from SEED (19); ONLY="3 7 1f0c2a9b" plays some by their names; N=0 those with a name alone.
# RECORDING=FILE keeps which tests reach which change, for another run on the same code.
RECORDING ?=
mutants: $(VENV)/.installed-dev
	$(BIN)/python -m faults.mutants $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED)) \
		$(if $(filter file,$(origin N)),,--number $(N)) $(if $(RECORDING),--recording $(RECORDING))

# What the reports claim, held against simulated worlds with a known truth, REPEATS samples of each; JOBS worlds
# at a time. With two processors it takes about an hour. The tables go into docs/reports.md. With KEEP=FILE a run
# that is stopped goes on where it was; WORLDS="300 phases" tries only those that are described so.
REPEATS ?= 1000
JOBS ?= 2
claims: $(VENV)/.installed-dev
	$(BIN)/python -m claims --repeats $(REPEATS) --jobs $(JOBS) $(if $(SEED),--seed $(SEED)) \
		$(if $(KEEP),--keep $(KEEP)) $(if $(WORLDS),--worlds "$(WORLDS)") --write docs/reports.md
	$(BIN)/python -m claims.verdicts --repeats $(REPEATS) --jobs $(JOBS) $(if $(SEED),--seed $(SEED)) --write docs/reports.md

# A fleet of executors writes and rotates for SECONDS while `follow` reads, is killed and started again.
fleet: $(VENV)/.installed-dev
	$(BIN)/python -m faults.fleet --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

# LOGS_IN_CLUSTER logs by a real Dask cluster on this machine, a worker killed and then the client.
LOGS_IN_CLUSTER ?= 2000
cluster: $(VENV)/.installed-dev
	$(BIN)/python -m faults.cluster --number $(LOGS_IN_CLUSTER)

# Hostile logs for SECONDS, guided by coverage where atheris installs; then: is every line read in linear
# time? SEED repeats a search; a failing input is saved, and `python -m faults.fuzz FILE` tries it again.
SECONDS ?= 300
SEED ?=
fuzz: $(VENV)/.installed-dev
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[fuzz]"
	$(BIN)/python -m faults.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m faults.linear

# How fast and how small, beside other ways to the same rows; ONLY="sparse dense" plays some cases, SCALE=0.1
# takes a tenth of the sizes. Inputs stay in BENCH_DIR. WRITE=docs/performance.md puts the tables there.
# BASE=dir is a checkout of the last version, run beside this one.
SCALE ?= 1
ROUNDS ?= 5
BENCH_DIR ?= .bench
BASE ?=
WRITE ?=
bench: $(VENV)/.installed-dev
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench]"
	$(BIN)/python -m bench --dir $(BENCH_DIR) --scale $(SCALE) --rounds $(ROUNDS) \
		$(if $(BASE),--base $(BASE)) $(if $(WRITE),--write $(WRITE)) $(ONLY)

# Where the time of one ingest goes, line by line.
CASE ?= dense
PROFILE_SCALE ?= 0.05
profile: $(VENV)/.installed-dev
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench]"
	$(BIN)/python -m bench.profiled --dir $(BENCH_DIR) --scale $(PROFILE_SCALE) $(CASE)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# docs/cli.md, from the program's own --help.
reference: $(VENV)/.installed-dev
	PYTHONPATH=tests $(BIN)/python -m reference

fix: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .bench $(BARE)
	rm -f telemetry.db telemetry.db-wal telemetry.db-shm telemetry.db.lock

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@ $(VENV)/.installed
