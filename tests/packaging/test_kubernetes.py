"""The manifests of the lock server are what Kubernetes takes, and fit the server and each other.

No cluster is at hand: what may stand where is from https://kubernetes.io/docs/reference/kubernetes-api,
of which this has what we use.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from rebootmgr.config.fragment import DropIn
from rebootmgr.fleetlock.admin_names import SOCKET
from rebootmgr.lockd_config.configuration import DIRECTORIES, decode_configuration
from tests.doc_text import ROOT
from tests.lockd.program import configure, serving

FILE: Final = ROOT / "packaging/kubernetes/rebootmgr-lockd.yaml"
OBJECTS: Final[Mapping[str, dict[str, Any]]] = {
    one["kind"]: one for one in yaml.safe_load_all(FILE.read_text("utf-8"))
}
LABELS: Final = {"app.kubernetes.io/name": "rebootmgr-lockd"}

# A type, a list of such, a table of such, or `dict` for any names.
SELECTOR: Final = {"matchLabels": dict}
PROBE: Final = {
    "httpGet": {"path": str, "port": str, "scheme": str},
    "periodSeconds": int,
    "timeoutSeconds": int,
    "failureThreshold": int,
}
CONTAINER: Final = {
    "name": str,
    "image": str,
    "ports": [{"name": str, "containerPort": int}],
    "securityContext": {
        "allowPrivilegeEscalation": bool,
        "readOnlyRootFilesystem": bool,
        "capabilities": {"drop": [str]},
    },
    "resources": {"requests": dict, "limits": dict},
    "startupProbe": PROBE,
    "livenessProbe": PROBE,
    "readinessProbe": PROBE,
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool}],
}
POD: Final = {
    "automountServiceAccountToken": bool,
    "enableServiceLinks": bool,
    "terminationGracePeriodSeconds": int,
    "securityContext": {
        "runAsNonRoot": bool,
        "runAsUser": int,
        "runAsGroup": int,
        "fsGroup": int,
        "seccompProfile": {"type": str},
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": int,
            "topologyKey": str,
            "whenUnsatisfiable": str,
            "labelSelector": SELECTOR,
        }
    ],
    "containers": [CONTAINER],
    "volumes": [
        {
            "name": str,
            "configMap": {"name": str},
            "secret": {"secretName": str, "defaultMode": int},
            "emptyDir": {"medium": str, "sizeLimit": str},
        }
    ],
}
RULE: Final = {"port": int, "protocol": str}
HEAD: Final = {"apiVersion": str, "kind": str, "metadata": {"name": str, "labels": dict}}
KINDS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "ConfigMap": ("v1", {"data": dict}),
    "Deployment": (
        "apps/v1",
        {
            "spec": {
                "replicas": int,
                "selector": SELECTOR,
                "strategy": {"rollingUpdate": {"maxUnavailable": int, "maxSurge": int}},
                "template": {"metadata": {"labels": dict}, "spec": POD},
            }
        },
    ),
    "PodDisruptionBudget": ("policy/v1", {"spec": {"maxUnavailable": int, "selector": SELECTOR}}),
    "Service": (
        "v1",
        {
            "spec": {
                "type": str,
                "externalTrafficPolicy": str,
                "selector": dict,
                "ports": [{"name": str, "port": int, "targetPort": str}],
            }
        },
    ),
    "NetworkPolicy": (
        "networking.k8s.io/v1",
        {
            "spec": {
                "podSelector": SELECTOR,
                "policyTypes": [str],
                "ingress": [{"ports": [RULE]}],
                "egress": [{"ports": [RULE], "to": [{"podSelector": SELECTOR}]}],
            }
        },
    ),
}
POD_SPEC: Final = OBJECTS["Deployment"]["spec"]["template"]["spec"]
[CONTAINED] = POD_SPEC["containers"]
MOUNTS: Final = {one["name"]: one["mountPath"] for one in CONTAINED["volumeMounts"]}


def misfits(found: object, allowed: Any, where: str) -> Iterator[str]:
    """Name what Kubernetes would not take, or would drop."""
    match allowed:
        case dict():
            if not isinstance(found, dict):
                yield f"{where} is no object"
                return
            for name, value in found.items():
                if name not in allowed:
                    yield f"{where}.{name} is unknown"
                else:
                    yield from misfits(value, allowed[name], f"{where}.{name}")
        case [each]:
            if not isinstance(found, list):
                yield f"{where} is no list"
                return
            for number, value in enumerate(found):
                yield from misfits(value, each, f"{where}[{number}]")
        case kind:
            if type(found) is not kind:
                yield f"{where} is {found!r}"


@pytest.mark.parametrize("kind", KINDS)
def test_each_object_has_the_fields_of_its_kind(kind: str) -> None:
    version, fields = KINDS[kind]
    assert OBJECTS[kind]["apiVersion"] == version
    assert list(misfits(OBJECTS[kind], HEAD | fields, kind)) == []
    assert OBJECTS[kind]["metadata"] == {"name": "rebootmgr-lockd", "labels": LABELS}


def test_a_field_of_another_name_or_type_would_be_seen() -> None:
    found = {"spec": {"replicas": "3", "selectors": {}}}
    allowed = KINDS["Deployment"][1]
    assert list(misfits(found, allowed, "d")) == [
        "d.spec.replicas is '3'",
        "d.spec.selectors is unknown",
    ]


def test_there_is_nothing_else_and_all_of_it_means_the_same_pods() -> None:
    assert set(OBJECTS) == set(KINDS)
    deployment = OBJECTS["Deployment"]["spec"]
    assert deployment["template"]["metadata"]["labels"] == LABELS
    assert OBJECTS["Service"]["spec"]["selector"] == LABELS
    for kind, name in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        assert OBJECTS[kind]["spec"][name] == {"matchLabels": LABELS}


def test_its_configuration_is_valid_and_every_file_that_it_names_is_mounted() -> None:
    [(name, text)] = OBJECTS["ConfigMap"]["data"].items()
    found = decode_configuration([DropIn(name, text)], localtime=UTC)
    assert (found.errors, found.warnings) == ((), ())
    assert PurePosixPath(MOUNTS["config"]) == PurePosixPath("/") / DIRECTORIES[0]
    named = [value.value for key, value in found.merged.values.items() if key.endswith("_file")]
    assert len(named) == 6
    assert {str(PurePosixPath(str(one)).parent) for one in named} == {MOUNTS["secrets"]}
    assert PurePosixPath(MOUNTS["run"]) == (PurePosixPath("/") / SOCKET).parent
    assert {one["name"] for one in POD_SPEC["volumes"]} == set(MOUNTS)


def test_the_network_lets_hosts_in_and_the_server_out_to_etcd() -> None:
    [text] = OBJECTS["ConfigMap"]["data"].values()
    wanted = decode_configuration([DropIn("x", text)], localtime=UTC).wanted
    [listens] = {one.port for one in wanted.server.listen if hasattr(one, "port")}
    [port] = CONTAINED["ports"]
    assert port["containerPort"] == listens
    assert [one["targetPort"] for one in OBJECTS["Service"]["spec"]["ports"]] == [port["name"]]
    policy = OBJECTS["NetworkPolicy"]["spec"]
    assert policy["ingress"] == [{"ports": [{"port": listens}]}]
    out = {rule["port"] for one in policy["egress"] for rule in one["ports"]}
    assert out == {53} | {urlsplit(one).port for one in wanted.store.etcd_endpoints}


async def test_what_is_probed_is_there(tmp_path: Any) -> None:
    configure(tmp_path, "")
    async with serving(tmp_path) as server:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = CONTAINED[probe]["httpGet"]
            assert asked["port"] == CONTAINED["ports"][0]["name"]
            assert (await server.get(asked["path"])).status == 200
