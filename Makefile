# Two commands do everything, on any machine with Python 3.11 or newer and make:
#
#     make book     build the book and say where to open it
#     make test     run every check, as continuous integration does
#
# Both install what they need into .venv and repeat only what a changed file concerns. The
# environment reaches pip untouched, so PIP_INDEX_URL and its relatives work.

SHELL := bash
PYTHON ?= python3
PORT ?= 8000
PAPER ?= A4
CHAPTERS ?= $(wildcard chapters/*.ipynb)
# One thread for every product: the matrices are small, and the test files run side by side.
OMP_NUM_THREADS ?= 1
export OMP_NUM_THREADS
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
PY := $(VENV)/bin/python
step = @printf '== %s\n'
build = $(PY) $(VENV)/bin/jupyter-book build -q -W -n --keep-going
# Where its font cache is missing, Matplotlib says so while it makes one, in a chapter's output.
fonts = $(PY) -c 'import matplotlib.font_manager' 2> /dev/null

# What each result is made from. A list is rewritten when a file comes or goes, which a rule that
# names the files alone would not notice.
files_in = $(shell find $(wildcard $(1)) -type d \( -name '__pycache__' -o -name '.?*' \) -prune \
	-o -type f ! -name '.*' ! -name '*~' -print)
SETUP := pyproject.toml constraints.txt
PACKAGE := $(call files_in,rnn_ref)
NOTEBOOKS := $(call files_in,chapters)
BOOK := $(SETUP) $(PACKAGE) $(NOTEBOOKS) _config.yml _toc.yml references.bib tools/check_html.py \
	$(call files_in,_ext _static _templates reference)
CODE := $(SETUP) $(PACKAGE) $(NOTEBOOKS) $(call files_in,_ext benchmarks tests tools) \
	$(wildcard .github/workflows/*.yml)
SRU := $(SETUP) $(PACKAGE) tests/conftest.py tests/contract.py $(call files_in,tests/interop)
ERRATA := $(SETUP) $(PACKAGE) chapters/errata.yml $(call files_in,chapters/book chapters/proofs tests/errata)
READING := $(BOOK) tools/chromium.py tests/conftest.py $(call files_in,tests/browser)
ALL := $(filter-out tests/browser/%,$(sort $(BOOK) $(CODE) $(wildcard *.md LICENSE*) CITATION.cff nbval.cfg Makefile .ci/run))

.PHONY: help book again test lint types unit sru browser-tests tensorflow bench notebooks serve lab browser pdf clean distclean FORCE
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo 'make book        build the book (no PyTorch needed) and say where to open it'
	@echo 'make again       while writing: build the pages that changed, in seconds'
	@echo 'make test        every check: lint, types, notebooks, book, tests, chapters executed anew'
	@echo 'make serve       show the book on http://127.0.0.1:$(PORT)/ (PORT=8000)'
	@echo 'make lab         open the chapters in JupyterLab'
	@echo 'make browser     the tests in Chromium, and a picture of every page in _build/pictures'
	@echo 'make pdf         print the whole book with Chromium: _build/recurrent-cells.pdf (PAPER=Letter)'
	@echo 'make lint        ruff: rules and format; zizmor: the workflows'
	@echo 'make types       mypy --strict on rnn_ref'
	@echo 'make unit        the tests of rnn_ref alone, without the chapters and the book'
	@echo 'make sru         compare SRU with the package of its authors (compiles C++, once)'
	@echo 'make tensorflow  the checks of the sources that need TensorFlow (installs it: 1.3 GB)'
	@echo 'make bench       measure the speed beside PyTorch and store it: ten minutes (BENCH=--quick: seconds)'
	@echo 'make notebooks   execute the chapters in place (CHAPTERS=chapters/gru.ipynb for one)'
	@echo 'make clean       remove what was built; make distclean: .venv as well'

book: _build/.checked
	@printf '== the book: %s\n   or on a local server: make serve\n' "$(CURDIR)/_build/html/index.html"

# Sphinx sees what a page is made from, but not what all are made with.
again: $(VENV)/.book
	@[ -z "$$(find $(SETUP) _ext _static -newer _build/html/searchindex.js 2>&1)" ] || rm -rf _build
	$(step) 'building what changed'
	@$(build) . > /dev/null
	@$(PY) tools/check_html.py _build/html

test: .make/lint .make/types .make/notebooks _build/.checked .make/reproducible .make/tests sru browser-tests
	@[ '$(TENSORFLOW)' != required ] && [ ! -e $(VENV)/.tensorflow ] \
	    || $(MAKE) --no-print-directory tensorflow
	@printf '== every check passed; the tests:%s\n' "$$(cat .make/tests)"
	@[ -e .make/sru ] || echo '   $(without_compiler)'
	@[ -e .make/browser ] || echo '   $(without_chromium)'
	@[ -e .make/tensorflow ] || echo '   LEFT OUT, as it is large: what make tensorflow checks'

lint: .make/lint
types: .make/types

unit: $(VENV)/.test
	@$(PY) -m pytest tests --ignore=tests/book --ignore=tests/errata --ignore=tests/browser -p no:nbval -o addopts='--strict-markers -m "not sru_package"'

# COMPILER=required makes the lack of a compiler an error, as continuous integration wants it.
sru:
	@if echo '#include <vector>' | $${CXX:-c++} -x c++ -fsyntax-only - > /dev/null 2>&1; then \
	    $(MAKE) --no-print-directory .make/sru; \
	else \
	    rm -f .make/sru; echo '== $(without_compiler)'; [ '$(COMPILER)' != required ]; \
	fi
without_compiler := LEFT OUT, no C++ compiler found: the comparison with the package sru

# BROWSER=required makes the lack of Chromium an error, as continuous integration wants it.
browser-tests:
	@if command -v chromium chromium-browser google-chrome > /dev/null; then \
	    $(MAKE) --no-print-directory .make/browser; \
	else \
	    rm -f .make/browser; echo '== $(without_chromium)'; [ '$(BROWSER)' != required ]; \
	fi
without_chromium := LEFT OUT, no Chromium found: the tests of the book in a browser

# TENSORFLOW=required makes it part of make test, as continuous integration wants it.
tensorflow: .make/tensorflow

# The benchmark sets its numbers of threads itself.
bench: $(VENV)/.bench
	@$(PY) -m benchmarks $(BENCH)

notebooks: $(VENV)/.test
	$(step) 'executing the chapters'
	@$(fonts)
	@$(PY) tools/notebooks.py run $(CHAPTERS)

serve: book
	@$(PY) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lab: $(VENV)/.lab
	@$(PY) -m jupyter lab --notebook-dir chapters

browser: _build/.checked $(VENV)/.browser
	$(step) 'every page in Chromium, with pictures'
	@mkdir -p _build/pictures
	@$(in_browser) --pictures _build/pictures

# The page shares what was read for the book, so that the book is built first.
pdf: _build/.checked $(VENV)/.pdf
	$(step) 'the book as a single page; a warning is an error'
	@$(build) --builder singlehtml . > /dev/null
	$(step) 'printing it: some minutes'
	@$(PY) tools/pdf.py _build _build/recurrent-cells.pdf --paper $(PAPER)

clean:
	rm -rf _build .make build ./*.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

# The environment. An existing .venv is used if it works and was made for this very folder.
ifneq ($(shell cat $(VENV)/.made-in 2>/dev/null),$(CURDIR))
$(VENV)/.made-in: FORCE
endif
$(VENV)/.made-in:
	@if [ ! -e $@ ] && $(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then \
	    echo '== using the existing $(VENV)'; \
	else \
	    need='Python 3.11 or newer is needed; name one, for example: make $(MAKECMDGOALS) PYTHON=python3.12'; \
	    command -v '$(PYTHON)' > /dev/null || { echo "error: no $(PYTHON) found. $$need" >&2; exit 1; }; \
	    '$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	        || { echo "error: $(PYTHON) is $$('$(PYTHON)' -V 2>&1). $$need" >&2; exit 1; }; \
	    '$(PYTHON)' -c 'import ensurepip, venv' 2> /dev/null \
	        || { echo "error: $(PYTHON) lacks the modules venv and ensurepip (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }; \
	    echo "== creating $(VENV) with $$('$(PYTHON)' -V)"; \
	    '$(PYTHON)' -m venv --clear $(VENV); \
	fi
	@printf '%s\n' "$(CURDIR)" > $@

# Of pip's messages, the large downloads and the builds; its errors are all shown.
define install
	$(step) 'installing into $(VENV): $(1)'
	@set -o pipefail; $(PY) -m pip install --progress-bar off --use-pep517 -c constraints.txt -e '.[$(1)]' \
	  | awk '/ MB\)$$/ {print "  " $$0} /^ *Building wheel.*started$$/ {print "  " $$1, $$2, $$3, $$4} \
	         /^Installing/ {print "  Installing", NF - 3, "packages"} {fflush()}'
endef
$(VENV)/.book: $(VENV)/.made-in $(SETUP)
	$(call install,book)
	@touch $@
$(VENV)/.test: $(VENV)/.made-in $(SETUP)
	$(call install,book$(comma)test$(comma)torch$(comma)keras$(comma)onnx$(comma)bench)
	@touch $(VENV)/.book $(VENV)/.bench $@
# Importing the package sru compiles it. A lock is left where that was interrupted, and the next
# import would wait for it to go.
$(VENV)/.sru: $(VENV)/.test
	$(call install,sru)
	@[ -d $(VENV)/sru-$(SRU_3)/sru ] \
	    || $(PY) -m pip install -q --no-deps --target $(VENV)/sru-$(SRU_3) sru==$(SRU_3)
	$(step) 'compiling both versions of the package sru: about a minute each, the first time'
	@rm -f $(VENV)/compiled/*/*/*/lock
	$(call for_each_sru,-W ignore -c 'import sru')
	@touch $@
# Beside the environment, not in it: what TensorFlow needs must not change what the rest runs with.
$(VENV)/.tensorflow: $(VENV)/.test
	$(step) 'installing TensorFlow: 1.3 GB'
	@$(PY) -m pip install -q --no-warn-conflicts --upgrade --target $(VENV)/tensorflow-$(TF) \
	    tensorflow-cpu==$(TF) $$(grep -E '^(numpy|keras)=' constraints.txt)
	@touch $@
TF := 2.21.0
$(VENV)/.lab: $(VENV)/.made-in $(SETUP)
	$(call install,book$(comma)torch$(comma)keras$(comma)onnx$(comma)lab)
	@touch $(VENV)/.book $@
$(VENV)/.bench: $(VENV)/.made-in $(SETUP)
	$(call install,torch$(comma)onnx$(comma)bench)
	@touch $@
$(VENV)/.browser: $(VENV)/.test
	$(call install,browser)
	@touch $@
$(VENV)/.pdf: $(VENV)/.made-in $(SETUP)
	$(call install,book$(comma)pdf)
	@touch $(VENV)/.book $@
comma := ,

# Python with the package sru: its release, then the one with another layout that never became a
# release. What is compiled depends on PyTorch too; ninja, which runs the compiler, is in bin.
SRU_3 := 3.0.0.dev6
define for_each_sru
	@for version in '' $(SRU_3); do \
	    PATH="$(CURDIR)/$(VENV)/bin:$$PATH" \
	    PYTHONPATH="$${version:+$(CURDIR)/$(VENV)/sru-$$version}" \
	    TORCH_EXTENSIONS_DIR="$(CURDIR)/$(VENV)/compiled/$(shell grep ^torch= constraints.txt)/sru$$version" \
	    $(PY) $(1) || exit; \
	done
endef

# The checks. Each leaves a file behind when it has passed.
.make/%.list: FORCE
	@mkdir -p .make; printf '%s\n' $(sort $($*)) | cmp -s - $@ || printf '%s\n' $(sort $($*)) > $@

.make/lint: .make/CODE.list $(CODE) $(VENV)/.test
	$(step) 'ruff, and zizmor for the workflows'
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(VENV)/bin/zizmor --offline --quiet --persona=auditor .github/workflows
	@touch $@

.make/types: .make/PACKAGE.list $(PACKAGE) $(VENV)/.test
	$(step) 'mypy'
	@$(PY) -m mypy
	@touch $@

.make/notebooks: .make/NOTEBOOKS.list $(NOTEBOOKS) tools/notebooks.py $(VENV)/.test
	$(step) 'stored outputs of the chapters'
	@$(PY) tools/notebooks.py check chapters/*.ipynb
	@touch $@

# Built from nothing each time: a page that is left over, or not written again, hides an error.
_build/.checked: .make/BOOK.list $(BOOK) | $(VENV)/.book
	$(step) 'building the book; a warning is an error'
	@rm -rf _build
	@$(build) . > /dev/null
	@$(PY) tools/check_html.py _build/html
	@touch $@

# From a copy, in which a chapter can be touched. PYTHONPATH, so that its own package is documented.
.make/reproducible: _build/.checked
	$(step) 'the book again, elsewhere and with other hashes; and one chapter of it: the same files?'
	@rm -rf .make/again && mkdir -p .make/again && tar cf - $(BOOK) | tar xf - -C .make/again
	@for seed in 1 2; do \
	    PYTHONHASHSEED=$$seed PYTHONPATH='$(CURDIR)/.make/again' $(build) .make/again > /dev/null \
	      && diff -rq _build/html .make/again/_build/html || exit; \
	    touch .make/again/chapters/gru.ipynb; \
	done
	@rm -rf .make/again
	@touch $@

.make/tests: .make/ALL.list $(ALL) _build/.checked $(VENV)/.test
	$(step) 'tests, and every chapter executed anew'
	@$(fonts)
	@set -o pipefail; $(PY) -m pytest -n logical --maxprocesses 4 | tee .make/pytest.log
	@tail -n 1 .make/pytest.log | tr -d = > $@

in_browser := $(PY) -m pytest tests/browser -p no:nbval -n logical --maxprocesses 4 \
	-o addopts='--strict-markers --strict-config --dist=worksteal'
.make/browser: .make/READING.list $(READING) _build/.checked $(VENV)/.browser
	$(step) 'every page in Chromium: light, dark, and as wide as a phone'
	@$(in_browser)
	@touch $@

.make/sru: .make/SRU.list $(SRU) $(VENV)/.sru
	$(step) 'SRU against both versions of the package sru'
	$(call for_each_sru,-m pytest tests/interop -p no:nbval -o addopts='--strict-markers' -m sru_package)
	@touch $@

.make/tensorflow: .make/ERRATA.list $(ERRATA) $(VENV)/.tensorflow
	$(step) 'the sources against TensorFlow'
	@PYTHONPATH="$(CURDIR)/$(VENV)/tensorflow-$(TF)" TF_CPP_MIN_LOG_LEVEL=3 \
	    $(PY) -m pytest tests/errata -p no:nbval -o addopts='--strict-markers' -m tensorflow
	@touch $@
