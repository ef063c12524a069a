"""Everything that is refused, byte by byte over real connections, and who is served."""

import asyncio
import ssl
from pathlib import Path

import pytest

from tests.fakes.fleetlock_tls import Certificate
from tests.lockd.program import PRE_REBOOT, PROTOCOL, Server, question, request, serving

BAD_BODIES = {
    "empty": b"",
    "no JSON": b"slot, please",
    "two values": question() + b"{}",
    "a byte order mark": b"\xef\xbb\xbf" + question(),
    "no object": b"[]",
    "null": b"null",
    "no params": b'{"client_param": {"id": "h1", "group": "default"}}',
    "params of another type": b'{"client_params": "h1"}',
    "no id": b'{"client_params": {"group": "default"}}',
    "no group": b'{"client_params": {"id": "h1"}}',
    "an id that is a number": b'{"client_params": {"id": 1, "group": "default"}}',
    "an empty id": b'{"client_params": {"id": "", "group": "default"}}',
    "a newline behind the group": b'{"client_params": {"id": "h1", "group": "default\\n"}}',
    "an id of other letters": '{"client_params": {"id": "hö", "group": "default"}}'.encode(),
    "half a pair of surrogates": b'{"client_params": {"id": "\\ud800", "group": "default"}}',
    "an endless id": b'{"client_params": {"id": "%s", "group": "default"}}' % (b"a" * 254),
    "not a number": b'{"client_params": {"id": "h1", "group": "default"}, "n": NaN}',
    "deep nesting": b'{"client_params": ' + b"[" * 5000 + b"]" * 5000 + b"}",
}
GOOD_BODIES = {
    "keys of any case": b'{"CLIENT_Params": {"ID": "h1", "Group": "default"}}',
    "further keys": b'{"client_params": {"id": "h1", "group": "default", "x": 1}, "y": []}',
    "white space": b' {\n"client_params" : {"id":"h1", "group":"default"} }\r\n',
    "the last of equal keys": b'{"client_params": {"id": "h2", "id": "h1", "group": "default"}}',
    "broken text in other keys": b'{"x": "\xff", "client_params": {"id":"h1","group":"default"}}',
}


async def test_a_body_that_is_no_question_is_refused_and_others_hold_nothing(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server:
        for what, body in BAD_BODIES.items():
            told = await server.send(request(PRE_REBOOT, body))
            assert (what, told.status, told.kind) == (what, 400, "bad_request")
            assert told.headers["Rebootmgr-Lockd"] == "1"
        for what, body in GOOD_BODIES.items():
            told = await server.send(request(PRE_REBOOT, body))
            assert (what, told.status) == (what, 200)
        metrics = (await server.get("/metrics")).body.decode()
        assert 'rebootmgr_lockd_grants_total{group="default"} 1.0' in metrics
        assert 'rebootmgr_lockd_slots_lent{group="default"} 1.0' in metrics


async def test_what_is_too_large_or_no_http_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        huge = await server.send(request(PRE_REBOOT, question() + b" " * 20_000))
        assert (huge.status, huge.kind) == (413, "body_too_large")
        for headers in ({"X": "a" * 5000}, {f"X-{n}": "a" for n in range(80)}):
            told = await server.send(request(PRE_REBOOT, question(), headers=headers | PROTOCOL))
            assert (told.status, told.kind) == (431, "headers_too_large")
        assert (await server.send(b"\x16\x03\x01 no http\r\n\r\n")).status == 400
        assert (await server.ask()).status == 200


async def test_wrong_methods_paths_and_headers_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        get = await server.send(request(PRE_REBOOT, method="GET"))
        assert (get.status, get.headers["Allow"]) == (405, "POST")
        assert (await server.get("/v1/other")).status == 404
        for headers in ({}, {"fleet-lock-protocol": "TRUE"}):
            told = await server.send(request(PRE_REBOOT, question(), headers=headers))
            assert (told.status, told.kind) == (400, "missing_fleetlock_header")
        twice = request(PRE_REBOOT, question()).replace(
            b"fleet-lock-protocol: true", b"fleet-lock-protocol: no\r\nfleet-lock-protocol: true"
        )
        assert (await server.send(twice)).status == 400  # of equal headers the first counts
        doubled = request(f"/{PRE_REBOOT}", question())
        assert (await server.send(doubled)).status == 200  # as some clients join URLs


async def test_only_who_has_a_token_is_let_in_and_tokens_are_rotated(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("Bearer one\n\nBasic dHdv\n")
    text = "[server]\nauthorization_file = '/tokens'\n"
    async with serving(tmp_path, text) as server:
        for wrong in ({}, {"Authorization": "Bearer three"}, {"Authorization": ""}):
            told = await server.ask(headers=wrong)
            assert (told.status, told.kind) == (401, "unauthorized")
            assert told.headers["WWW-Authenticate"].startswith("Basic realm=")
        for right in ("Bearer one", "Basic dHdv"):
            assert (await server.ask(headers={"Authorization": right})).status == 200
        assert (await server.get("/metrics")).status == 401
        assert (await server.get("/healthz")).status == 200
        (tmp_path / "new").write_text("Bearer three\n")
        (tmp_path / "new").replace(tokens)
        await server.reload()
        assert (await server.ask(headers={"Authorization": "Bearer three"})).status == 200
        assert (await server.ask(headers={"Authorization": "Bearer one"})).status == 401
        assert "three" not in server.log


async def test_who_is_wrong_too_often_hears_so_and_others_are_served(tmp_path: Path) -> None:
    text = "[server]\nrequests_per_second_per_address = 1\n"
    async with serving(tmp_path, text) as server:
        told = [await server.send(request(PRE_REBOOT, b"no")) for _ in range(20)]
        assert {one.status for one in told} == {400, 429}
        last = told[-1]
        assert (last.status, last.kind) == (429, "too_often")
        assert int(last.headers["Retry-After"]) > 0
        assert (await server.ask()).status == 200  # a fleet behind one NAT is one address


async def test_who_hangs_up_has_asked_nothing_and_waits_no_more(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert (await server.ask("h1")).status == 200
        held = await server.connect()
        sent = request(PRE_REBOOT, question("h2"), headers={**PROTOCOL, "Prefer": "wait=60"})
        held.writer.write(sent)
        while 'hosts_waiting{group="default"} 1.0' not in await metrics(server):
            pass
        held.writer.close()
        assert (await server.ask("h3")).status == 423  # so h2's hang-up was heard, too
        assert (await server.give_back("h1")).status == 200
        assert 'grants_total{group="default"} 1.0' in await metrics(server)


async def metrics(server: Server) -> str:
    return (await server.get("/metrics")).body.decode()


async def test_with_no_descriptors_left_it_says_so_once_and_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path, wrapper=("prlimit", "--nofile=40", "--")) as server:
        lines = [await server.connect() for _ in range(60)]
        assert (await server.ask()).status == 200
        for line in lines:
            line.writer.close()
        assert server.log.count("cannot accept connections for now") == 1


async def test_a_slow_request_is_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        head, body = await server.connect(), await server.connect()
        head.writer.write(request(PRE_REBOOT, question())[:40])
        body.writer.write(request(PRE_REBOOT, question())[:-5])
        assert (await body.answer()).kind == "request_timeout"
        await head.wait_closed()
        assert (await server.ask()).status == 200


async def test_certificates_are_read_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    made = Certificate.make(tmp_path)
    text = "[server]\ntls_cert_file = '/cert.pem'\ntls_key_file = '/key.pem'\n"
    async with serving(tmp_path, text) as server:
        old = ssl.create_default_context(cafile=str(made.cert))
        asked = request(PRE_REBOOT, question())
        assert (await server.send(asked, old)).status == 200
        made.key.write_text("no key")
        await server.reload()
        assert "the configuration stays as it was" in server.log
        assert (await server.send(asked, old)).status == 200
        again = Certificate.make(tmp_path)
        await server.reload()
        new = ssl.create_default_context(cafile=str(again.cert))
        assert (await server.send(asked, new)).status == 200
        with pytest.raises(ssl.SSLError):
            await server.send(asked, old)
        with pytest.raises((ConnectionError, IndexError)):
            await server.send(asked)  # no TLS at all


async def test_new_tokens_are_in_force_without_a_word_and_an_empty_file_changes_nothing(
    tmp_path: Path,
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("Bearer one\n")
    one, two = ({"Authorization": f"Bearer {name}"} for name in ("one", "two"))
    async with serving(tmp_path, "[server]\nauthorization_file = '/tokens'\n") as server:
        assert (await server.ask(headers=one)).status == 200
        replace(tokens, "")
        while "has no line" not in server.log:
            assert (await server.ask(headers=one)).status == 200
        replace(tokens, "Bearer two\n")
        while (await server.ask(headers=two)).status != 200:
            pass
        assert (await server.ask(headers=one)).status == 401
        assert "Bearer" not in server.log


async def test_a_new_certificate_is_in_force_without_a_word_and_half_of_it_changes_nothing(
    tmp_path: Path,
) -> None:
    made = Certificate.make(tmp_path)
    text = "[server]\ntls_cert_file = '/cert.pem'\ntls_key_file = '/key.pem'\n"
    asked = request(PRE_REBOOT, question())
    async with serving(tmp_path, text) as server:
        old = ssl.create_default_context(cafile=str(made.cert))
        (tmp_path / "next").mkdir()
        again = Certificate.make(tmp_path / "next")
        new = ssl.create_default_context(cafile=str(again.cert))
        replace(made.cert, again.cert.read_text())  # the key follows, as when files are copied
        while "cannot be used together" not in server.log:
            assert (await server.send(asked, old)).status == 200
        replace(made.key, again.key.read_text())
        while True:
            try:
                assert (await server.send(asked, new)).status == 200
                break
            except ssl.SSLError:
                try:
                    assert (await server.send(asked, old)).status == 200
                except ssl.SSLError:  # it changed between the two
                    assert (await server.send(asked, new)).status == 200
                    break
        with pytest.raises(ssl.SSLError):
            await server.send(asked, old)


def replace(file: Path, text: str) -> None:
    """Write a file anew in one go, as a program does that renews secrets."""
    new = file.with_name("new")
    new.write_text(text)
    new.replace(file)


async def test_hosts_must_have_a_certificate_where_a_ca_says_so(tmp_path: Path) -> None:
    made = Certificate.make(tmp_path)
    text = (
        "[server]\ntls_cert_file = '/cert.pem'\ntls_key_file = '/key.pem'\n"
        "client_ca_file = '/cert.pem'\n"
    )
    async with serving(tmp_path, text) as server:
        asked = request(PRE_REBOOT, question())
        without = ssl.create_default_context(cafile=str(made.cert))
        with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
            await server.send(asked, without)
        having = ssl.create_default_context(cafile=str(made.cert))
        having.load_cert_chain(made.cert, made.key)
        assert (await server.send(asked, having)).status == 200


async def test_what_the_inventory_says_beats_what_a_host_says_of_itself(tmp_path: Path) -> None:
    text = "[groups.default]\nslots = 2\n[hosts.h1]\nname = 'worker-3'\n"
    async with serving(tmp_path, text) as server:
        assert (await server.ask("h1", headers={"Rebootmgr-Host": "liar"})).status == 200
        assert (await server.ask("h2", headers={"Rebootmgr-Host": "db-2"})).status == 200
        assert "(worker-3, db-2)" in (await server.ask("h3")).value


async def test_a_host_name_that_no_terminal_should_see_is_no_http(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        told = await server.ask("h1", headers={"Rebootmgr-Host": "db-2\x1b[31m"})
        assert (told.status, told.kind) == (400, "bad_request")
        assert (await server.ask("h2", headers={"Rebootmgr-Host": "x" * 500})).status == 200
        said = (await server.ask("h3")).value
        assert f"({'x' * 63}…)" in said


async def test_it_feeds_the_watchdog_while_everybody_asks(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(server.ask(f"h{number}")) for number in range(200)]
        statuses = [one.result().status for one in asking]
        assert sorted(statuses) == [200] + [423] * 199
        await server.manager.until_beat(server.manager.beats + 1)
