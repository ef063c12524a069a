"""`python -m tests.fuzz.guided TARGET OPTION...`: atheris, which never returns, on one target."""

import sys

import atheris  # type: ignore[import-untyped] # installed by whoever wants it

with atheris.instrument_imports(include=["rebootmgr"]):
    from tests.fuzz.targets import TARGETS
    from tests.fuzz.transports import TRANSPORTS

if __name__ == "__main__":
    _, name, *options = sys.argv
    atheris.Setup([name, *options], {**TARGETS, **TRANSPORTS}[name])
    atheris.Fuzz()
