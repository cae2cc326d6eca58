# drainspec: `make` builds, `make demo` shows, `make check` tests; each of the last two installs what is missing.
# HOWTO add a source file: put it into its folder. HOWTO add a package: harness/setup/packages.txt.
CC       ?= gcc
CLANG    ?= clang
BUILD    ?= build
CFLAGS   ?= -O2 -g
DRAINSPEC := drainspec
WARN     := -Wall -Wextra -Werror
CPPFLAGS += -D_GNU_SOURCE -Isrc -I$(BUILD)/gen
ALL_CFLAGS = -std=gnu17 $(WARN) $(CFLAGS) $(SAN)
LDLIBS   += -lhiredis -lpcap -lyaml -ljansson -lmnl -lnghttp2 -lssl -lcrypto -lm -lutil

# V=1 shows the commands
ifeq ($(V),)
.SILENT:
say = @printf '  %-7s %s\n' "$(1)" "$(2)"
endif

SRC     := $(wildcard src/*/*.c)
OBJ     := $(SRC:%.c=$(BUILD)/%.o) $(BUILD)/gen/battery.o
LIB_OBJ := $(filter-out $(BUILD)/src/cli/main.o,$(OBJ))
# What everybody asks first comes first: its findings are told in full, those of the others refer to them.
FIRST   := quiet in-flight idle streaming
BATTERY := $(FIRST:%=scenarios/battery/%.yaml)
BATTERY += $(filter-out $(BATTERY),$(sort $(wildcard scenarios/battery/*.yaml)))

.PHONY: all clean
all: $(DRAINSPEC) fixtures

$(DRAINSPEC): $(OBJ)
	$(call say,LINK,$@)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(OBJ) $(LDLIBS)

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The battery is part of the program: it works wherever the binary is put.
$(BUILD)/gen/battery.c: $(BATTERY) harness/setup/embed.sh Makefile
	@mkdir -p $(@D)
	sh harness/setup/embed.sh $(BATTERY) > $@.tmp && mv $@.tmp $@

$(BUILD)/gen/battery.o: $(BUILD)/gen/battery.c
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

-include $(OBJ:.o=.d)
-include fixtures/Makefile.inc
-include harness/check.mk

clean:
	rm -rf $(BUILD) $(BUILD)-* drainspec fixtures/bin
