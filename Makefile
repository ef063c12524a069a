.PHONY: help check demo bench mutants soak clean prepare
python := .venv/bin/python
# A test that hangs is shown with its stack and counted as failed.
bound := -o faulthandler_timeout=120 -o faulthandler_exit_on_timeout=true

help: ## say what there is (the default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

check: prepare ## install what is missing, then run every test; the linters and types are among them
	$(python) -m pytest -n 4 --dist worksteal $(bound)

demo: prepare ## show a host, a fleet and an update from the first notice to the reboot
	$(python) -m tests.demo

bench: prepare ## measure start, memory, wake-ups and answers
	$(python) -m benchmarks

mutants: prepare ## break the decisions one by one and see a test notice each
	$(python) -m tests.mutants

soak: prepare ## let whole fleets live through storms of faults, seed after seed
	$(python) -m tests.soak

clean: ## remove everything that was made here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

prepare:
	@packaging/prepare
