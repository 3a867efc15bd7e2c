# SPDX-License-Identifier: GPL-2.0-or-later
# What a person types; `make help` lists it.

PYTHON	 := /usr/bin/python3
CC	 := gcc
BUILD	 := build
# gcc and clang (and the 32-bit build) keep their objects apart
VARIANT	 := $(notdir $(CC))
OBJ	 := $(BUILD)/obj/$(VARIANT)
PROGRAM	 := $(BUILD)/aioabi-cases

comma	 := ,
# Debian packages, by what they are for
DEPS_BUILD  = gcc make libc6-dev libaio-dev libblkid-dev libfiu-dev \
	      $(if $(PROGRAM32),gcc-i686-linux-gnu libc6-dev-i386-cross)
# with what makes the file systems that cases mount
DEPS_RUN   := python3 python3-pytest python3-click python3-rich python3-jinja2 \
	      e2fsprogs xfsprogs btrfs-progs
# QEMU, and what makes file systems and orders the modules for its guests
DEPS_VM    := qemu-system-x86 kmod zstd f2fs-tools debian-archive-keyring
# other people's programs, and what controls points in them
DEPS_FAULTS := fio qemu-utils fiu-utils
# what a kernel is built with, and what shows how much of it ran
DEPS_LAB   := bc bison flex libelf-dev libssl-dev ccache patch lcov xz-utils
DEPS_CHECK := clang clang-format clang-tidy cppcheck flake8 mypy black \
	      python3-jsonschema python3-junitparser python3-yaml

# what the pages of a report are looked at with: a large download
DEPS_HTML  := chromium chromium-driver python3-selenium fonts-dejavu-core

ARCH	 := $(shell $(CC) -dumpmachine | cut -d- -f1)
VERSION	 := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || \
	      echo unknown)

# snprintf() that cuts short is meant so: paths and sentences have their room
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	    -Wmissing-prototypes -Wno-unused-parameter \
	    $(if $(filter gcc%,$(VARIANT)),-Wno-format-truncation)
CFLAGS	 := -O2 -g $(WARNINGS) -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	    -pthread -Ilib -Ifault -I$(OBJ) $(EXTRA_CFLAGS)
LDLIBS	 := -laio -lblkid -lfiu

# what is linked into other things than the program of cases
APART	     := lib/main32.c fault/preload.c fault/harness.c
LIB_SOURCES  := $(filter-out $(APART),$(wildcard lib/*.c fault/*.c))
CASE_SOURCES := $(wildcard cases/*/*.c)
SOURCES	     := $(LIB_SOURCES) $(CASE_SOURCES)
LIB_OBJECTS  := $(LIB_SOURCES:%.c=$(OBJ)/%.o) $(OBJ)/contract_table.o
OBJECTS	     := $(CASE_SOURCES:%.c=$(OBJ)/%.o) $(LIB_OBJECTS)
# the cases as a 32-bit program, unless CC32 is nothing: without the executor,
# and without libraries, which Debian has for i386 only
CC32	     := i686-linux-gnu-gcc
PROGRAM32    := $(if $(filter x86_64,$(ARCH)),$(if $(CC32),$(BUILD)/aioabi-cases32))
OBJ32	     := $(BUILD)/obj/32
# the executor and who needs libraries; of the rest of lib/ is linked what is used
NOT32	     := lib/device.c lib/executor.c lib/flavour_libaio.c lib/main.c \
		$(wildcard fault/*.c cases/fault/*.c) \
		$(shell grep -l AIOABI_WITH_LIBAIO_H $(CASE_SOURCES))
SOURCES32    := $(filter-out $(NOT32),$(CASE_SOURCES)) lib/main32.c
LIB_SOURCES32 := $(filter-out $(NOT32),$(LIB_SOURCES))
OBJECTS32    := $(SOURCES32:%.c=$(OBJ32)/%.o)
ARCHIVE32    := $(OBJ32)/lib.a
LIB_OBJECTS32 := $(LIB_SOURCES32:%.c=$(OBJ32)/%.o) $(OBJ32)/contract_table.o
# a warning that only this build gives is no reason for having none of it
CFLAGS32     := $(filter-out -Werror,$(CFLAGS)) -Wno-format-truncation \
		-DAIOABI_COMPAT32
# the points under other people's programs
PRELOAD	     := $(BUILD)/libaiofault.so
PRELOAD_SOURCES := fault/preload.c fault/control.c fault/points.c fault/call.c \
		   fault/ring.c lib/copy.c lib/flavour_raw.c
PRELOAD_OBJECTS := $(PRELOAD_SOURCES:%.c=$(OBJ)/preload/%.o)
# cases that misbehave, to test the harness
HARNESS	     := $(BUILD)/aioabi-harness
HARNESS_OBJECTS := $(patsubst %.c,$(OBJ)/%.o,$(wildcard lib/tests/*.c)) \
		   $(OBJ)/fault/harness.o \
		   $(LIB_OBJECTS)

AIOABI := $(PYTHON) runner/aioabi

.PHONY: all help run ci matrix report faults teeth lab check check-html bench new \
	build format lint clean deps deps-build deps-run deps-vm deps-lab \
	deps-faults deps-check deps-html

all: build

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | \
		sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | \
		awk -F'\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'
	@echo
	@echo '  make run DEVICE=/dev/x [DESTROY=yes] [ARGS="io_setup -- -x"]'
	@echo '  make run KERNEL=~/linux'

# --- building; V=1 shows the commands ---

Q   := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc) --no-print-directory
endif

build: deps-build $(PROGRAM) $(PROGRAM32) $(PRELOAD) ## build build/aioabi-cases

$(PROGRAM): $(OBJECTS)
$(HARNESS): $(HARNESS_OBJECTS)
wrap = $(patsubst %,-Wl$(comma)--wrap=%,$(1))
# fault/queue.c stands between libaio's functions
$(PROGRAM) $(HARNESS): LDLIBS += $(call wrap,io_setup io_destroy io_submit io_getevents)
$(HARNESS): LDLIBS += $(call wrap,fork pipe2 open64 write)
$(PROGRAM) $(HARNESS):
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -static -o $@ $(sort $^) $(LDLIBS)

$(OBJ)/%.o: %.c | deps-build $(OBJ)/cases-list
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(PRELOAD): $(PRELOAD_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -shared -o $@ $^ -lfiu
$(OBJ)/preload/%.o: %.c | deps-build
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) -fPIC -fvisibility=hidden -DFAULT_PRELOAD \
		-MMD -MP -c -o $@ $<
$(OBJ)/preload/lib/flavour_raw.o: CFLAGS += -Dsyscall=fault_syscall

$(PROGRAM32): $(OBJECTS32) $(ARCHIVE32)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC32) $(CFLAGS32) -static -o $@ $(OBJECTS32) $(ARCHIVE32)
$(ARCHIVE32): $(LIB_OBJECTS32)
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^
$(OBJ32)/%.o: %.c | deps-build $(OBJ)/cases-list
	@mkdir -p $(@D)
	$(call say,CC32,$<)
	$(Q)$(CC32) $(CFLAGS32) -MMD -MP -c -o $@ $<
$(OBJ32)/contract_table.o: $(OBJ)/contract_table.c
	@mkdir -p $(@D)
	$(call say,CC32,$<)
	$(Q)$(CC32) $(CFLAGS32) -c -o $@ $<

# what the program says of itself must not be older than the program
$(OBJ)/lib/record.o: CFLAGS += -DSUITE_VERSION='"$(VERSION)"'
$(OBJ)/lib/main.o: CFLAGS += -DARCH='"$(ARCH)"'
$(OBJ)/lib/record.o: $(OBJ)/version
$(OBJ)/version: FORCE
	@mkdir -p $(@D)
	@echo $(VERSION) | cmp -s - $@ || echo $(VERSION) > $@

# a case that was removed leaves an object behind, not a program that has it
$(OBJ)/cases-list: FORCE
	@mkdir -p $(@D)
	@echo $(SOURCES) | cmp -s - $@ || \
		{ rm -f $(PROGRAM) $(PROGRAM32); echo $(SOURCES) > $@; }
FORCE:

$(OBJ)/contract_table.c: cases/contract.toml runner/contract.py | deps-build
	@mkdir -p $(@D)
	$(call say,CONTRACT,$@)
	$(Q)$(PYTHON) -m runner.contract compile $@
	$(Q)$(PYTHON) -m runner.contract render
$(OBJ)/contract_table.o: $(OBJ)/contract_table.c
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

-include $(patsubst %.o,%.d,$(OBJECTS) $(OBJECTS32) $(LIB_OBJECTS32) \
	$(HARNESS_OBJECTS) $(PRELOAD_OBJECTS))

# --- using ---

run: $(if $(KERNEL),deps-vm,deps-run) build ## run the suite on this host, or KERNEL=
	@$(AIOABI) run $(if $(KERNEL),--kernel $(KERNEL)) $(if $(DEVICE),--device $(DEVICE)) \
		$(if $(filter yes,$(DESTROY)),--destroy) \
		$(if $(DIR),--dir $(DIR)) $(ARGS)

faults: deps-faults build ## every failure at every place, and under fio and QEMU
	@$(PYTHON) -m runner.sweeps $(ARGS)

teeth: build ## break the calls under each case: which notice nothing?
	@$(PYTHON) -m runner.teeth $(ARGS)

soak: deps-run build ## race for MINUTES=10 in ever other orders (SEED=n, ARGS)
	@$(AIOABI) soak $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(SEED),--seed $(SEED)) $(ARGS)

matrix: deps-vm build ## run the suite on kernels in VMs: KERNELS="debian:6.1 …"
	@$(AIOABI) matrix $(KERNELS) $(ARGS)

# on this host without KERNEL
ci: $(if $(KERNEL),deps-vm,deps-run) build ## what CI does on KERNEL, into build/ci
	@.ci/kernel '$(KERNEL)' $(ARGS)

report: deps-run ## make the site of all runs, results/html/index.html
	@$(AIOABI) report $(ARGS)

lab: deps-lab build ## break kernels: coverage, old bugs, mutants (ARGS="--sample 100")
	@status=0; \
	$(AIOABI) coverage || status=$$?; \
	$(AIOABI) old-bugs || status=$$?; \
	$(AIOABI) mutants $(ARGS) || status=$$?; \
	exit $$status

bench: deps-run build $(HARNESS) ## what the harness costs, or a guest of KERNEL=
	@$(PYTHON) -m runner.bench $(KERNEL)

new: ## write a new case from a template: make new CASE=io_setup.what_it_proves
	@$(PYTHON) -m runner.new "$(CASE)"

# --- the project's own tests ---

PYTHON_SOURCES = $(shell git ls-files 'runner/*.py' runner/aioabi)
C_SOURCES = $(shell git ls-files '*.c' '*.h')

check: deps-check ## the project's own tests
	$(MAKE) lint
	$(MAKE) build $(HARNESS)
	$(MAKE) CC=clang BUILD=$(BUILD)/clang \
		$(BUILD)/clang/aioabi-cases
	$(PYTHON) -m runner.contract check
	$(PYTHON) -m pytest -q runner/tests
	$(AIOABI) run
	$(MAKE) teeth

check-html: deps-html ## look at the pages of a report in headless Chromium
	$(PYTHON) -m pytest -q runner/tests/html_check.py

# it does not see through process_vm_readv(2), by which the sabotage reads
BLIND := negativeIndex ctuuninitvar identicalConditionAfterEarlyExit

lint: deps-check ## format and lint checks
	@clang-format --dry-run -Werror $(C_SOURCES)
	@cppcheck --quiet --error-exitcode=1 --inline-suppr \
		--enable=warning,portability --suppress=comparePointers \
		$(BLIND:%=--suppress=%:lib/sabotage.c) -D_GNU_SOURCE -Ilib lib
	@black --quiet --check $(PYTHON_SOURCES)
	@flake8 $(PYTHON_SOURCES)
	@$(PYTHON) -m runner.contract render --check
	@mypy $(filter-out runner/aioabi %_test.py runner/tests/% \
		runner/lab/tests/%,$(PYTHON_SOURCES))

format: deps-check ## rewrite the sources in the project's format
	clang-format -i $(C_SOURCES)
	black --quiet $(PYTHON_SOURCES)
	$(PYTHON) -m runner.contract render

# --- dependencies: one line that says what, then apt-get ---

define install
	@missing=; for p in $(1); do \
		dpkg-query -W -f '$${db:Status-Abbrev}' $$p 2>/dev/null | \
			grep -q '^ii' || missing="$$missing $$p"; \
	done; \
	[ -z "$$missing" ] || { \
		echo "installing:$$missing"; \
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		{ $$sudo apt-get update -qq && $$sudo env \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends $$missing; } \
			> $(BUILD)-apt.log 2>&1 || \
			{ cat $(BUILD)-apt.log >&2; exit 2; }; \
		rm -f $(BUILD)-apt.log; \
	}
endef

# one after the other, since apt-get locks
deps: deps-check ## install what is missing
deps-build:
	$(call install,$(DEPS_BUILD))
deps-run: deps-build
	$(call install,$(DEPS_RUN))
deps-vm: deps-run
	$(call install,$(DEPS_VM))
deps-lab: deps-vm
	$(call install,$(DEPS_LAB))
deps-faults: deps-run
	$(call install,$(DEPS_FAULTS))
deps-check: deps-faults
	$(call install,$(DEPS_CHECK))
deps-html: deps-check
	$(call install,$(DEPS_HTML))

clean: ## remove what was built
	rm -rf $(BUILD)
