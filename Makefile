.PHONY: help check calm system web demo bench mutants soak fuzz install documents man rpm srpm clean prepare
python := .venv/bin/python
RPMFLAGS ?= --without check
export PYTHON # the interpreter of .venv; python3 if it is not given

help: ## say what there is (the default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

check: prepare ## run every test, linters and types too; PYTHON=python3.15 runs them on another Python
	$(python) -m pytest -n 4 --dist worksteal

calm: prepare ## run every test on a machine whose cores are all wanted by others
	$(python) -m tests.calm

system: ## boot real systems, with this working tree installed as an RPM, and test it there
	@packaging/prepare system
	$(python) -m tests.system

web: ## look at the lock server's page in a real browser, and ask it by docs/openapi.yaml
	@packaging/prepare web
	$(python) -m pytest tests/web

demo: prepare ## show a host, a fleet and an update from the first notice to the reboot
	$(python) -m tests.demo

bench: ## measure memory, start, wake-ups, answers and thousands of everything, in ten minutes
	@packaging/prepare bench
	$(python) -m benchmarks

mutants: prepare ## break the decisions one by one and see a test notice each
	$(python) -m tests.mutants

soak: prepare ## live through thousands of months and of storms over whole fleets, seed after seed
	$(python) -m tests.soak

fuzz: prepare ## feed noise to whatever reads from outside, a minute each
	$(python) -m tests.fuzz

# All that is not Python: the one list of it. `make install DESTDIR=/somewhere`
prefix := /usr
sysconfdir := /etc
lib := $(DESTDIR)$(prefix)/lib
share := $(DESTDIR)$(prefix)/share
doc := $(share)/doc/rebootmgr
etc := $(DESTDIR)$(sysconfdir)/rebootmgr
pages := $(patsubst docs/man/%.md,build/man/%,$(wildcard docs/man/*.md))
put := install -D -p -m 0644

install: $(pages) ## install units, policies, configuration, man pages and documents, all but Python
	$(put) -t $(lib)/systemd/system systemd/rebootmgr.service \
		systemd/rebootmgr-hook.socket systemd/rebootmgr-hook@.service \
		systemd/rebootmgr-lockd.service systemd/rebootmgr-lockd.socket
	$(put) -t $(lib)/systemd/system-preset packaging/rpm/*.preset
	$(put) -t $(lib)/systemd/catalog systemd/rebootmgr.catalog
	$(put) systemd/rebootmgr.sysusers $(lib)/sysusers.d/rebootmgr.conf
	$(put) systemd/rebootmgr-lockd.sysusers $(lib)/sysusers.d/rebootmgr-lockd.conf
	$(put) systemd/rebootmgr.tmpfiles $(lib)/tmpfiles.d/rebootmgr.conf
	$(put) -t $(share)/dbus-1/system.d systemd/org.rebootmgr1.conf
	$(put) -t $(share)/polkit-1/actions systemd/org.rebootmgr1.policy
	$(put) systemd/rebootmgr.rules $(share)/polkit-1/rules.d/50-rebootmgr.rules
	$(put) completion/rebootmgrctl.bash $(share)/bash-completion/completions/rebootmgrctl
	$(put) completion/rebootmgr-lockd.bash $(share)/bash-completion/completions/rebootmgr-lockd
	$(put) -t $(share)/zsh/site-functions completion/_rebootmgrctl completion/_rebootmgr-lockd
	$(put) -t $(share)/fish/vendor_completions.d completion/*.fish
	$(put) -t $(share)/rebootmgr schema/rebootmgr.toml.schema.json
	for page in $(pages); do $(put) -t $(share)/man/man$${page##*.} $$page || exit; done
	for folder in config.d checks.d pre-reboot.d post-boot.d; do \
		install -d $(etc)/$$folder $(lib)/rebootmgr/$$folder || exit; done
	$(put) -t $(etc)/config.d etc/rebootmgr/config.d/*.toml
	install -d $(etc)-lockd/config.d $(lib)/rebootmgr-lockd/config.d
	@$(MAKE) --no-print-directory documents

# The pages find each other as in the checkout. A link to what only the checkout has becomes its name.
unlink := s,\[([^]]*)\]\((\.\./)*(HACKING\.md|packit\.yaml|\.copr|tests|benchmarks|rebootmgr)(/[^)]*)?\),\1,g

documents:
	$(put) -t $(doc) README.md NEWS.md LICENSE
	$(put) -t $(doc)/docs $(wildcard docs/*.*)
	$(put) -t $(doc)/docs/man docs/man/*.md
	$(put) -t $(doc)/docs/examples/bootc-fetch-apply-updates.service.d docs/examples/*/*.conf
	for page in README.md docs/*.md; do \
		sed -i -E '$(unlink)' $(doc)/$$page && touch -r $$page $(doc)/$$page || exit; done
	$(put) -t $(doc)/packaging/coreos packaging/coreos/*
	$(put) -t $(doc)/packaging/kubernetes packaging/kubernetes/*
	$(put) -t $(doc)/examples etc/rebootmgr/examples/*.*
	$(put) -t $(doc)/dashboards dashboards/*.*
	$(put) -t $(doc)/dashboards/textfile dashboards/textfile/*

man: $(pages)

build/man/%: docs/man/%.md
	@mkdir -p $(@D)
	go-md2man -in $< -out $@
	sed -i '/^\.TH /a .nh\n.ad l' $@ # its own .nh comes before .TH, which undoes it

rpm: ## build the RPM into build/rpm; RPMFLAGS= also runs the suite in it, VERSION=1.2.3 renames it
	@packaging/rpm/build $(RPMFLAGS)

srpm: ## build the source RPM into build/rpm, from which Fedora's are made (docs/fedora-package.md)
	@packaging/rpm/build source

clean: ## remove everything that was made here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

prepare:
	@packaging/prepare
