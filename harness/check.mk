# Targets that prove: demo, check, check-real, bench, fuzz, flake. The top Makefile includes this file.
.PHONY: deps deps-check deps-real deps-bench demo check check-real units asan clang fuzz fuzz-quick e2e flake bench schema

# sub-makes use every core, also when this one was started without -j
PAR := -j$(shell nproc 2>/dev/null || echo 2)
APT := sh harness/setup/apt.sh
# asked when it is used: the first thing that `make check` does is to install it
PY   = $(shell sh harness/setup/pytest.sh 2>/dev/null || echo python3)
# Most tests wait for a server most of the time: more of them than cores, side by side; those with a clock in them are alone.
# SIDE=0: one after the other.
SIDE ?= $(shell $(PY) -c 'import xdist; print(6)' 2>/dev/null || echo 0)
ALONE = $(PY) -m pytest -q -p no:cacheprovider
PYTEST = $(ALONE) $(if $(filter-out 0,$(SIDE)),-n $(SIDE))
# A battery on a real server has workers of its own, and starts a JVM or a Python thirty times: fewer at once fill two cores.
REAL = $(ALONE) $(if $(filter-out 0,$(SIDE)),-n $(1)) harness/real
E2E = $(PYTEST) harness/e2e -m 'not alone' $(1) $(PYTEST_ARGS) && $(ALONE) harness/e2e -m alone $(1) $(PYTEST_ARGS)

# The libraries must be there before the first compilation: the two commands install them by themselves.
deps:
	@$(APT) @build
deps-check: deps
	@$(APT) @check
deps-real: deps-check
	@$(APT) @real
deps-bench: deps-check
	@$(APT) @bench

DEMO = --slow gate --stream 'GET /gate/chunked' --big 'GET /big' --upload 'POST /upload'

demo: deps
	@$(MAKE) --no-print-directory $(PAR) all
	@sh harness/demo.sh

# --- units, under the sanitizers of a second build
UNIT_SRC := $(wildcard harness/unit/test_*.c)
UNIT_BIN := $(UNIT_SRC:harness/unit/%.c=$(BUILD)/unit/%)
CHECK_LIBS := -lcheck -lsubunit -lpthread -lrt

$(BUILD)/unit/%: harness/unit/%.c $(LIB_OBJ) $(wildcard harness/unit/*.h)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Iharness/unit $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(LIB_OBJ) $(LDLIBS) $(CHECK_LIBS)

# one a core, each one's output in one piece; libcheck's own limit for a test is 4 s, too short beside other work
export CK_DEFAULT_TIMEOUT ?= 60
units: $(UNIT_BIN)
	+@$(MAKE) --no-print-directory $(PAR) -Otarget $(UNIT_BIN:$(BUILD)/unit/%=unit-run-%)
unit-run-%:
	@echo "== $*"; $(BUILD)/unit/$* || [ $$? -eq 77 ]

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
asan:
	@$(MAKE) --no-print-directory BUILD=build-asan DRAINSPEC=build-asan/drainspec SAN="$(ASAN)" CFLAGS="-O1 -g" \
		build-asan/drainspec units

clang:
	@$(MAKE) --no-print-directory CC=$(CLANG) BUILD=build-clang DRAINSPEC=build-clang/drainspec build-clang/drainspec

# --- fuzz: every parser, a minute each (or FUZZ_SECONDS)
FUZZ_SRC := $(wildcard harness/fuzz/fuzz_*.c)
FUZZ_BIN := $(FUZZ_SRC:harness/fuzz/%.c=$(BUILD)/fuzz/%)
FUZZ_SECONDS ?= 60
# a handshake each
FUZZ_RUNS_tls := 3000
FUZZ_SAME = $(if $(FUZZ_RUNS),-seed=1 -runs=$(or $(FUZZ_RUNS_$*),$(FUZZ_RUNS)))

$(BUILD)/fuzz/%: harness/fuzz/%.c $(LIB_OBJ)
	$(call say,FUZZER,$@)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $< $(LIB_OBJ) $(LDLIBS)

.PHONY: fuzz-bins fuzz-run
fuzz-bins: $(FUZZ_BIN)
# one a core: each keeps one busy
fuzz-run: fuzz-bins
	+@$(MAKE) --no-print-directory $(PAR) -Otarget $(FUZZ_BIN:$(BUILD)/fuzz/fuzz_%=fuzz-run-%)
fuzz-run-%:
	@echo "== fuzz_$*, $(if $(FUZZ_SAME),$(FUZZ_SAME),$(FUZZ_SECONDS) s)"; mkdir -p $(BUILD)/corpus/$*; \
	  dict=harness/fuzz/$*.dict; [ -f $$dict ] && dict="-dict=$$dict" || dict=; \
	  seeds=harness/fuzz/seeds/$*; [ -d $$seeds ] || seeds=; \
	  $(BUILD)/fuzz/fuzz_$* -max_total_time=$(FUZZ_SECONDS) $(FUZZ_SAME) -timeout=10 -verbosity=0 $$dict -artifact_prefix=$(BUILD)/ $(BUILD)/corpus/$* $$seeds
FUZZ_MAKE = $(MAKE) --no-print-directory CC=$(CLANG) BUILD=build-fuzz DRAINSPEC=build-fuzz/drainspec CFLAGS="-O1 -g" \
	SAN="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined"
fuzz: deps-check
	+@$(FUZZ_MAKE) fuzz-run
# Units under the sanitizers from the same build as the fuzzers; asan does it with gcc's.
.PHONY: sanitized
sanitized:
	+@$(FUZZ_MAKE) build-fuzz/drainspec units
# The same inputs every time, whatever the machine's speed: a change is judged by what it did. New ones are make fuzz's.
fuzz-quick:
	+@$(FUZZ_MAKE) fuzz-run FUZZ_RUNS=40000

schema: $(DRAINSPEC)
	./$(DRAINSPEC) list schema > scenarios/schema.json

# --- the whole: for everybody, with what Debian has
e2e: all
	$(call E2E)

check: deps-check
	@$(MAKE) --no-print-directory $(PAR) all
	@$(MAKE) --no-print-directory $(PAR) sanitized
	@$(MAKE) --no-print-directory $(PAR) fuzz-quick
	@$(MAKE) --no-print-directory e2e
	$(call REAL,4) -m apt $(PYTEST_ARGS)

# Ten in a row, and once with both cores busy: a verdict that differs is a bug of the tool.
flake: all
	@set -e; for i in 1 2 3 4 5 6 7 8 9 10; do echo "== run $$i"; { $(call E2E,-x); } || exit 1; done
	@echo "== both cores busy"; export DRAINSPEC_LOAD=1; { $(call E2E,-x); } || exit 1

check-real: deps-real
	@$(MAKE) --no-print-directory $(PAR) all
	@$(MAKE) --no-print-directory real-targets
	$(call REAL,3) -m 'not apt' $(PYTEST_ARGS)

bench: deps-bench
	@$(MAKE) --no-print-directory all build/bench/floor build/bench/stamp
	$(PY) harness/bench/bench.py

build/bench/stamp: harness/bench/stamp.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu17 $(WARN) -O2 -static -o $@ $<

build/bench/floor: harness/bench/floor.c src/base/clock.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu17 $(WARN) -O2 -o $@ $^ -lmnl -lpcap -lm

include harness/setup/targets.mk
