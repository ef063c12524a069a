"""Libraries without what they bring along for everybody else.

dbus-next's package brings GLib, XML and proxies, prometheus_client's a web server and TLS, asyncio
TLS: megabytes in a daemon that sleeps for weeks. Where a newer library does not stand it, it is
imported whole. And with what a newer Python took from under them.
"""

import sys
import typing
from importlib import import_module
from importlib.util import find_spec, module_from_spec


def restore_typing() -> None:
    """Give dbus-next 0.2.3 the decorator that it imports, and that Python 3.15 no longer has.

    Whoever imports it calls this first; where Python has it, it stays as it is.
    """
    vars(typing).setdefault("no_type_check_decorator", lambda decorator: decorator)


def import_bare(package: str, *modules: str) -> None:
    """Import `modules` of `package`, in this order, so that its __init__ is never run.

    Nothing happens if somebody imported it already, or where it is not installed: the import
    that follows says so.
    """
    spec = None if package in sys.modules else find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return
    before = set(sys.modules)
    sys.modules[package] = module_from_spec(spec)
    try:
        for module in modules:
            import_module(f"{package}.{module}")
    except (ImportError, AttributeError):  # it asks its own package for something
        for name in set(sys.modules) - before:
            if f"{name}.".startswith(f"{package}."):
                del sys.modules[name]


def import_without(module: str, *unwanted: str) -> None:
    """Import `module` as if `unwanted` were not installed; for this process they are not, then."""
    kept_out = [name for name in unwanted if name not in sys.modules]
    for name in kept_out:
        sys.modules[name] = None  # type: ignore[assignment]  # as the import system has it
    try:
        import_module(module)
    except ImportError:
        for name in kept_out:
            del sys.modules[name]
