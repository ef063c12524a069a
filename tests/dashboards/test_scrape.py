"""A real Prometheus, a real node_exporter and the real daemon, by both ways that lead there."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
import yaml

from rebootmgr.cli.bus_verbs import METRICS, read_metrics
from rebootmgr.errors import RebootmgrError
from tests.dashboards import expressions
from tests.dashboards.prometheus import (
    DASHBOARDS,
    Json,
    Server,
    free_port,
    need,
    pause,
)
from tests.dashboards.test_alerts import ALERTS
from tests.dashboards.test_dashboard import QUERIES
from tests.fakes.host import Host
from tests.lockd.program import serving
from tests.waiting import telling

TEXTFILE: Final = DASHBOARDS / "textfile"
SCRIPT: Final = TEXTFILE / "rebootmgr-textfile"
UPDATE: Final = "42.2"


@asynccontextmanager
async def bridge(path: Path) -> AsyncIterator[str]:
    """Do as local_exporter: answer GET /bridge?selector=rebootmgr with what the socket says."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        status, body = "404 Not Found", b"backend not found"
        if request.startswith(b"GET /bridge?selector=rebootmgr "):
            try:
                text = await asyncio.to_thread(read_metrics, path)
                status, body = "200 OK", text.encode()
            except RebootmgrError as error:
                status, body = "500 Internal Server Error", str(error).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def prometheus(home: Path, target: str, lock_server: str) -> Server:
    """Prometheus with the shipped configuration, but for the targets, the pace and TLS."""
    config = yaml.safe_load((DASHBOARDS / "prometheus.yml").read_text("utf-8"))
    config["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), "1s")
    config["rule_files"] = [str(DASHBOARDS / name) for name in config["rule_files"]]
    hosts, servers = config["scrape_configs"]
    [first, *_] = hosts["static_configs"]
    hosts["static_configs"] = [{**first, "targets": [target]}]
    servers |= {"scheme": "http", "static_configs": [{"targets": [lock_server]}]}
    file = home / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    options = ("--log.level=warn", f"--web.listen-address={address}")
    paths = (f"--config.file={file}", f"--storage.tsdb.path={home / 'tsdb'}")
    return Server([need("prometheus"), *options, *paths], f"http://{address}", home)


async def scrape(host: Host) -> expressions.Metrics:
    """Read the socket itself."""
    return expressions.read_metrics([await asyncio.to_thread(read_metrics, host.root / METRICS)])


async def until_value(server: Server, query: str, wanted: float) -> list[Json]:
    """Wait until every series that the query finds, of at least one, has this value."""
    found: list[Json] = []
    targets: list[Json] = []
    with telling(lambda: f"{query} never was {wanted}: {found}, {targets}"):
        while True:
            found = (await server.data("query", query=query))["result"]
            if found and all(float(series["value"][1]) == wanted for series in found):
                return found
            targets = (await server.data("targets"))["activeTargets"]
            await pause()


async def test_prometheus_scrapes_the_socket_and_can_say_all_that_is_asked(tmp_path: Path) -> None:
    async with (
        Host(tmp_path / "host") as host,
        bridge(host.root / METRICS) as target,
        serving(tmp_path / "locks") as lockd,
    ):
        host.configure('[updates]\nstrategy = "off"\n')
        await host.os.stage(UPDATE)
        await host.start()
        await host.until_blocked("disabled")
        assert [(await lockd.ask(name)).status for name in ("h1", "h2")] == [200, 423]
        async with prometheus(tmp_path, target, f"127.0.0.1:{lockd.port}") as server:
            await server.text("/-/ready")
            [seen] = await until_value(server, "rebootmgr_reboot_pending", 1)
            own = {"job": "rebootmgr", "instance": target, "group": "default"}
            assert seen["metric"] == {"__name__": "rebootmgr_reboot_pending", **own}
            await until_value(server, 'rebootmgr_lockd_hosts_waiting{group="default"}', 1)
            await check_what_is_known(server, host, own)
            await host.stop()
            await until_value(server, 'up{job="rebootmgr"}', 0)
            await until_value(server, 'ALERTS{alertname="RebootmgrDown",alertstate="pending"}', 1)
        assert server.log == ""


async def check_what_is_known(server: Server, host: Host, own: dict[str, str]) -> None:
    said = await scrape(host)
    scraped = {**own, "alertname": ""}  # an alert may be pending where a scrape was late
    selector = ",".join(f'{label}="{value}"' for label, value in scraped.items())
    everything = f"count by (__name__) (last_over_time({{{selector}}}[1m]))"  # also if one was late
    stored = (await server.data("query", query=everything))["result"]
    of_scraping = {"up", *(name for name in names(stored) if name.startswith("scrape_"))}
    assert names(stored) - of_scraping == said.keys()
    blocked = "last_over_time(rebootmgr_blocked[1m]) == 1"
    [reason] = (await server.data("query", query=blocked))["result"]
    assert reason["metric"]["reason"] == "disabled"
    for query in QUERIES:
        await server.data("query", query=query)
    await until_quiet(server)


def names(result: list[Json]) -> set[str]:
    return {series["metric"]["__name__"] for series in result}


async def until_quiet(server: Server) -> None:
    """Wait until every alert was evaluated, none of them ill, and is not even about to fire."""
    quiet = {(name, "ok", "inactive") for name in ALERTS}
    rules: list[Json] = []
    with telling(lambda: f"last: {rules}"):
        while True:
            groups = (await server.data("rules"))["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            alerts = [rule for rule in rules if rule["type"] == "alerting"]  # others only record
            if {(rule["name"], rule["health"], rule["state"]) for rule in alerts} == quiet:
                return
            assert "err" not in {rule["health"] for rule in rules}, rules
            await pause()


def copy(directory: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run what the timer runs."""
    return subprocess.run(
        [SCRIPT, directory], env=environ, capture_output=True, text=True, check=False
    )


async def test_the_textfile_collector_of_node_exporter_gets_the_same(tmp_path: Path) -> None:
    exporter = need("node_exporter", "prometheus-node-exporter")
    directory, programs = tmp_path / "textfile", tmp_path / "bin"
    directory.mkdir()
    programs.mkdir()
    async with Host(tmp_path / "host") as host:
        client = programs / "rebootmgrctl"
        module = f'"{sys.executable}" -m rebootmgr.cli.main --root "{host.root}"'
        client.write_text(f'#!/bin/sh\nexec {module} "$@"\n')
        client.chmod(0o755)
        environ = {**host.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        await host.start()
        done = await asyncio.to_thread(copy, directory, environ)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        said = expressions.read_metrics(
            [await asyncio.to_thread(read_metrics, host.root / METRICS)]
        )
        [file] = directory.iterdir()
        copied = file.read_text()
        await host.stop()
        failed = await asyncio.to_thread(copy, directory, environ)
        assert failed.returncode == 1
        assert "offers no metrics" in failed.stderr
        assert ([file], file.read_text()) == (list(directory.iterdir()), copied)
    address = f"127.0.0.1:{free_port()}"
    options = ("--collector.disable-defaults", "--collector.textfile", "--log.level=error")
    argv = [*options, f"--collector.textfile.directory={directory}"]
    url = f"http://{address}"
    async with Server(
        [exporter, *argv, f"--web.listen-address={address}"], url, tmp_path
    ) as server:
        served = await server.text("/metrics")
        known = expressions.read_metrics([served])
        ours = {name for name in known if name.startswith("rebootmgr_")}
        assert ours == {name for name in said if name.startswith("rebootmgr_")}
        assert known["node_textfile_mtime_seconds"] == {"file": {str(file)}}
        pattern = re.search(r'file=~"(.+?)"', ALERTS["RebootmgrStale"]["expr"])
        assert pattern is not None
        assert re.fullmatch(pattern[1].replace("\\\\", "\\"), str(file))
        assert "node_textfile_scrape_error 0" in served
        assert server.log == ""  # it complains of each metric that it has twice


def says(tmp_path: Path, script: str) -> dict[str, str]:
    """An environment in which rebootmgrctl does as the script does."""
    client = tmp_path / "bin/rebootmgrctl"
    client.parent.mkdir(exist_ok=True)
    client.write_text(f"#!/bin/sh\n{script}\n")
    client.chmod(0o755)
    return {"PATH": f"{client.parent}:{os.environ['PATH']}"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be led astray")
def test_root_writes_through_nothing_that_the_owner_of_the_directory_planted() -> None:
    with TemporaryDirectory() as top:  # everybody may enter it, as /var/lib
        Path(top).chmod(0o755)
        directory, victim = Path(top) / "textfile", Path(top) / "victim"
        directory.mkdir()
        victim.write_text("precious")
        for name in ("rebootmgr.prom", "rebootmgr.prom.new", ".rebootmgr.12345678"):
            (directory / name).symlink_to(victim)
            os.chown(directory / name, 4242, 4242, follow_symlinks=False)
        os.chown(directory, 4242, 4242)
        done = copy(directory, says(Path(top), "echo rebootmgr_up 1; echo process_x 2"))
        assert (done.returncode, done.stderr) == (0, "")
        assert victim.read_text() == "precious"
        written = directory / "rebootmgr.prom"
        assert not written.is_symlink()
        assert written.read_text() == "rebootmgr_up 1\n"
        assert (written.stat().st_uid, written.stat().st_mode & 0o777) == (4242, 0o644)
        directory.rename(Path(top) / "mine")  # and now somebody else's is in its place
        directory.symlink_to(Path(top) / "roots")
        os.chown(directory, 4242, 4242, follow_symlinks=False)
        (Path(top) / "roots").mkdir()
        assert copy(directory, says(Path(top), "echo rebootmgr_up 1")).returncode != 0
        assert list((Path(top) / "roots").iterdir()) == []


def test_what_the_daemon_says_without_end_is_not_copied(tmp_path: Path) -> None:
    directory = tmp_path / "textfile"
    directory.mkdir()
    (directory / "rebootmgr.prom").write_text("old")
    done = copy(directory, says(tmp_path, "exec cat /dev/zero"))
    assert done.returncode != 0
    assert [(file.name, file.read_text()) for file in directory.iterdir()] == [
        ("rebootmgr.prom", "old")
    ]


def test_systemd_takes_the_units_that_copy(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NOT TESTED: systemd-analyze is not installed")
    units = []
    for unit in TEXTFILE.glob("rebootmgr-textfile.*"):
        text = unit.read_text("utf-8").replace("/usr/local/bin/rebootmgr-textfile", str(SCRIPT))
        units.append(tmp_path / unit.name)
        units[-1].write_text(text)
    assert {unit.suffix for unit in units} == {".service", ".timer"}
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_agree_on_the_directory_which_may_be_written() -> None:
    service: Any = (TEXTFILE / "rebootmgr-textfile.service").read_text("utf-8")
    [command] = re.findall(r"^ExecStart=(.+)$", service, re.MULTILINE)
    program, directory = command.split()
    assert program.rpartition("/")[2] == SCRIPT.name
    assert f"\nReadWritePaths={directory}\n" in service
    assert os.access(SCRIPT, os.X_OK)
