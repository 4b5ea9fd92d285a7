"""Whatever a request holds, its answer is success or a `Status`, and no controller stumbles over what is stored."""

import copy
import json
import logging
import random
from dataclasses import dataclass

import pytest
from simcluster.clock import ManualClock
from simcluster.cluster import Cluster
from simcluster.settings import Settings
from simcluster.wire import Request

JUNK = (
    *(None, 0, -1, 1.5, 10**20, "", "x", "-", "1Gi", "\u0000", True, [], {}),
    *([1], ["a"], [None], [{}], [{"name": "x"}], {"a": None}, {"a": 1}, {"name": "x"}),
)


def template(policy):
    spec = {"restartPolicy": policy, "schedulerName": "nobody", "containers": [{"name": "m", "image": "i"}]}
    return {"metadata": {"labels": {"a": "b"}}, "spec": spec}


SELECTOR = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "b", "uid": "u"}
CONTAINER = {
    "name": "m",
    "image": "i:1",
    "env": [{"name": "A", "value": "b"}],
    "ports": [{"containerPort": 1}],
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    "resources": {"limits": {"cpu": "1", "nvidia.com/gpu": "1"}, "requests": {"cpu": "1"}},
}
POD = {
    "metadata": {"name": "a", "labels": {"a": "b"}, "finalizers": ["e.com/x"], "ownerReferences": [OWNER]},
    "spec": {
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "volumes": [{"name": "v"}],
        "initContainers": [{"name": "i", "image": "i"}],
        "containers": [CONTAINER],
    },
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}
DEFINITION_VERSION = {
    "name": "v1",
    "served": True,
    "storage": True,
    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.a", "statusReplicasPath": ".status.b"}},
    "additionalPrinterColumns": [{"name": "A", "type": "date", "jsonPath": ".spec.a"}],
    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}},
}
DEFINITION = {
    "metadata": {"name": "ts.e.com"},
    "spec": {
        "group": "e.com",
        "names": {"plural": "ts", "kind": "T", "shortNames": ["t"]},
        "versions": [DEFINITION_VERSION],
    },
}
REPLICATED = {"replicas": 1, "selector": SELECTOR, "template": template("Always")}
NODE = {
    "metadata": {"name": "n"},
    "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
    "status": {"allocatable": {"cpu": "1"}, "conditions": [{"type": "Ready", "status": "True"}]},
}
NAMESPACED = "namespaces/default"
MANIFESTS = (
    (f"/api/v1/{NAMESPACED}/pods", POD),
    (f"/apis/batch/v1/{NAMESPACED}/jobs", {"metadata": {"name": "j"}, "spec": {"template": template("Never")}}),
    (f"/apis/apps/v1/{NAMESPACED}/deployments", {"metadata": {"name": "d"}, "spec": REPLICATED}),
    (f"/apis/apps/v1/{NAMESPACED}/statefulsets", {"metadata": {"name": "s"}, "spec": REPLICATED}),
    (f"/api/v1/{NAMESPACED}/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}),
    (
        f"/apis/policy/v1/{NAMESPACED}/poddisruptionbudgets",
        {"metadata": {"name": "p"}, "spec": {"minAvailable": 1, "selector": SELECTOR}},
    ),
    ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", DEFINITION),
    (f"/apis/e.com/v1/{NAMESPACED}/ts", {"metadata": {"name": "t"}, "spec": {"a": 1}}),
    ("/api/v1/nodes", NODE),
    (f"/api/v1/{NAMESPACED}/events", {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "a"}}),
    ("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "c"}, "value": 1}),
    ("/api/v1/namespaces", {"metadata": {"name": "nn"}}),
)
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def places(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def spoilt(body, chance):
    """Return a body with junk in one place."""
    path, junk = chance.choice(list(places(body))), copy.deepcopy(chance.choice(JUNK))
    if not path:
        return junk
    spoiled = target = copy.deepcopy(body)
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = junk
    return spoiled


@dataclass
class Attack:
    """Sends one kind of request after another, with junk in it."""

    cluster: Cluster
    chance: random.Random
    answered: int = 0
    accepted: int = 0

    async def send(self, method, path, body=None, media_type="application/json", **query):
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": media_type, "accept": "application/json"}
        response = await self.cluster.api.handle(Request(method, path, query, headers, data))
        assert response.status < 500 or b"more than one PodDisruptionBudget" in response.body, response
        self.answered += 1
        self.accepted += response.status < 300

    async def strike(self):
        path, manifest = self.chance.choice(MANIFESTS)
        name, bad = f"{path}/{manifest['metadata']['name']}", spoilt(manifest, self.chance)
        await self.send("POST", path, manifest)
        target = self.chance.choice([{"name": "n"}, {"name": self.junk()}, self.junk()])
        operations = [{"op": "add", "path": "/spec", "value": bad}, *self.junk_list()]
        requests = (
            ("POST", path, bad),
            ("PUT", name, bad),
            ("PATCH", name, bad, "application/merge-patch+json"),
            ("PATCH", name, bad, "application/strategic-merge-patch+json"),
            ("PATCH", name, operations, "application/json-patch+json"),
            ("PATCH", f"{name}/status", bad, "application/merge-patch+json"),
            ("PATCH", f"{name}/scale", {"spec": {"replicas": self.junk()}}, "application/merge-patch+json"),
            (
                "POST",
                f"{name}/binding",
                {"target": target},
            ),
            ("POST", f"{name}/eviction", {"deleteOptions": self.junk()}),
            ("DELETE", name, {"gracePeriodSeconds": self.junk(), "preconditions": self.junk()}),
        )
        await self.send(*self.chance.choice(requests))
        manager = self.chance.choice(["one", "two"])
        await self.send("PATCH", name, bad, "application/apply-patch+yaml", fieldManager=manager, force="true")
        for read in (path, "/apis", "/openapi/v2"):
            await self.cluster.api.handle(Request("GET", read, headers={"accept": TABLE}))

    async def clear(self):
        for path, manifest in MANIFESTS:
            name = f"{path}/{manifest['metadata']['name']}"
            await self.send("PATCH", name, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
            await self.send("DELETE", name, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})

    def junk(self):
        return copy.deepcopy(self.chance.choice(JUNK))

    def junk_list(self):
        junk = self.junk()
        return junk if isinstance(junk, list) else []


@pytest.mark.parametrize("seed", range(3))
async def test_junk_is_answered_and_disturbs_nobody(seed, caplog):
    clock = ManualClock()
    async with Cluster(Settings(seed=seed), clock) as cluster:
        attack = Attack(cluster, random.Random(seed))
        for _ in range(12):
            for _ in range(20):
                await attack.strike()
            await clock.advance(30)
            await attack.clear()
    assert attack.answered > 500
    assert attack.accepted > 100
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
