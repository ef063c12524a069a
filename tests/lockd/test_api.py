"""docs/openapi.yaml against the server: the same paths, methods, statuses and documents."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from rebootmgr.fleetlock.admin_names import EVENTS, FREEZE, GROUP, HISTORY, STATUS
from rebootmgr.lockd.admin import METHODS
from rebootmgr.lockd.http.pages import FOR_THE_EYE, OPEN_TO_ALL, REPORTS, ROUTES
from tests.doc_text import GUIDES
from tests.lockd.program import (
    PRE_REBOOT,
    STEADY_STATE,
    Answered,
    Server,
    question,
    request,
    serving,
)
from tests.lockd.test_admin import ask_as, wished
from tests.lockd.watcher import watching

ROOT: Final = Path(__file__).parents[2]
API: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docs/openapi.yaml").read_text("utf-8"))
FOR_PROGRAMS: Final = {path: it for path, it in ROUTES.items() if path not in FOR_THE_EYE}
OPERATIONS: Final = [
    (path, method, operation)
    for path, operations in API["paths"].items()
    for method, operation in operations.items()
]


def described(path: str, method: str, answer: Answered) -> None:
    """The answer is one of those that are described."""
    operation = API["paths"][path][method.lower()]
    assert str(answer.status) in operation["responses"], (path, answer)
    response = resolved(operation["responses"][str(answer.status)])
    content = response.get("content", {})
    if not content or method == "HEAD":
        assert answer.body == b""
        return
    [[media, body]] = content.items()
    assert answer.headers["Content-Type"].partition(";")[0] == media
    if media == "application/json":
        check(json.loads(answer.body), body["schema"])


def resolved(found: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in found:
        place: Any = API
        for part in found["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        found = place
    return found


def schema_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = API["components"]["schemas"][name]
    return found


def check(document: object, schema: dict[str, Any]) -> None:
    whole = {**schema, "components": API["components"]}
    jsonschema.Draft202012Validator(whole).validate(document)


def closed(schema: object) -> Iterator[dict[str, Any]]:
    """Every description of an object in the schemas."""
    match schema:
        case dict():
            if "properties" in schema:
                yield schema
            for inner in schema.values():
                yield from closed(inner)
        case list():
            for inner in schema:
                yield from closed(inner)
        case _:
            pass


def test_the_paths_and_methods_are_those_of_the_server_and_of_its_socket() -> None:
    ours = {(path, method) for path, methods in FOR_PROGRAMS.items() for method in methods}
    ours |= {(path, method) for path, method in METHODS.items()}
    assert {(path, method.upper()) for path, method, _ in OPERATIONS} == ours


def test_who_needs_no_token_is_said() -> None:
    assert {path for path, _, one in OPERATIONS if one.get("security") == []} == OPEN_TO_ALL
    for path, _, operation in OPERATIONS:
        at_tcp_and_closed = path in ROUTES and path not in OPEN_TO_ALL
        assert ("401" in operation["responses"]) == at_tcp_and_closed, path


def test_every_operation_has_a_name_of_its_own_and_a_tag_that_is_described() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in API["tags"]}
    assert {tag for _, _, operation in OPERATIONS for tag in operation["tags"]} == tags
    administrators = {path for path, _, one in OPERATIONS if one["tags"] == ["administrators"]}
    assert administrators == {path for path, method in METHODS.items() if method == "POST"}
    assert GROUP in API["tags"][2]["description"]
    assert "openapi.yaml" in GUIDES["docs/lockd.md"]


async def test_what_is_answered_is_what_is_described(tmp_path: Path) -> None:
    text = "[groups.default]\n[groups.later]\nafter = ['default']\n"
    async with serving(tmp_path, text) as server:
        for path, methods in FOR_PROGRAMS.items():
            for method in methods:
                if path != EVENTS or method == "HEAD":
                    await _answers(server, path, method)
        for raw in (b"", b"{}", question(group="none")):
            described(PRE_REBOOT, "POST", await server.send(request(PRE_REBOOT, raw)))
        described(PRE_REBOOT, "POST", await server.ask("h2"))
        described(PRE_REBOOT, "POST", await server.ask("h3", "later"))
        report = {**json.loads(question("h2")), "outcome": "rolled_back", "reason": "it fell"}
        reported = await server.send(request(REPORTS, json.dumps(report).encode()))
        assert reported.status == 204
        described(REPORTS, "POST", reported)
        administrator = os.geteuid()
        for path, wish in {
            FREEZE: {"reason": "week", "until": "2099-01-01T00:00:00Z", "group": "later"},
            **{path: {} for path, method in METHODS.items() if method == "POST" and path != FREEZE},
        }.items():
            described(path, "POST", await ask_as(administrator, tmp_path, wished(path, {**wish})))
            described(path, "POST", await server.send(wished(path, {**wish})))
        looked = await ask_as(administrator, tmp_path, request(STATUS, method="GET", headers={}))
        described(STATUS, "GET", looked)
        told = json.loads((await server.get(HISTORY)).body)["history"]
        assert {"lent", "failed", "halted", "frozen"} <= {one["what"] for one in told}
        assert (
            told[0].keys()
            == schema_of("history")["properties"]["history"]["items"]["properties"].keys()
        )
        shown = json.loads(looked.body)
        assert [one["stands"]["kind"] for one in shown["groups"]] == ["halted", "frozen"]
        assert shown["groups"][1]["waiting"][0]["in_the_way"]["kind"] == "waiting_for_group"
        async with watching(server.port) as watcher:
            await watcher.until(lambda it: len(it.groups) == 2)
            for event in watcher.told:
                name = "watchedServer" if event.kind == "server" else event.kind
                check(event.document, {"$ref": f"#/components/schemas/{name}"})


async def _answers(server: Server, path: str, method: str) -> None:
    """Whatever it is, it is described; asked with another method it says which it takes."""
    answer = await server.send(request(path, question("h1"), method))
    assert answer.status in {200, 400}, path
    if answer.status == 200:
        described(path, method, answer)
    other = await server.send(request(path, method="PATCH"))
    assert (other.status, other.headers["Allow"]) == (405, ", ".join(ROUTES[path]))


@pytest.mark.parametrize("name", ["fleet", "watchedServer", "group", "history"])
def test_what_is_described_is_required_whole(name: str) -> None:
    """So that the test above notices a key that is not there any more."""
    for schema in closed(API["components"]["schemas"][name]):
        assert set(schema["required"]) == set(schema["properties"])


async def test_no_key_is_shown_that_is_not_described(tmp_path: Path) -> None:
    text = "[groups.default]\n[groups.later]\nafter = ['default']\n"
    async with serving(tmp_path, text) as server:
        for host, group in (("h1", "default"), ("h2", "default"), ("h3", "later")):
            await server.ask(host, group)
        shown = json.loads((await server.get(STATUS)).body)
    schemas = API["components"]["schemas"]
    groups = schemas["group"]["properties"]
    assert shown.keys() - {"groups"} == schemas["server"]["properties"].keys()
    for group in shown["groups"]:
        assert group.keys() == groups.keys()
        for key in ("holders", "waiting"):
            for row in group[key]:
                assert row.keys() == groups[key]["items"]["properties"].keys()


async def test_what_needs_a_token_says_so_without_one(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    text = "[server]\nauthorization_file = '/tokens'\n"
    async with serving(tmp_path, text) as server:
        for path, methods in ROUTES.items():
            answer = await server.send(request(path, method=methods[0]))
            assert answer.status == (200 if path in OPEN_TO_ALL else 401), path
            if path in FOR_PROGRAMS:
                described(path, methods[0], answer)
        let_in = await server.get(STATUS, {"Authorization": "secret"})
        assert let_in.status == 200
        gave = await server.send(request(STEADY_STATE, question()))
        assert gave.status == 401
