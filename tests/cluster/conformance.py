"""What a Kubernetes API server does for our adapter, told once and judged everywhere.

A module that subclasses `ClusterConformance` gives it a cluster, a namespace of its own and a version that is too old;
the simulated cluster and a real one run the very same tests. Pods that must stay unbound name a scheduler that
nobody runs; their image exists, so that a real kubelet can run those that are bound.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.metadata import Metadata
from muster_cluster.objects import (
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    AnyObject,
    Node,
    Pod,
)
from muster_cluster.port import (
    Binding,
    Change,
    Conflicted,
    EvictionBlocked,
    Expired,
    NotFound,
    PatchType,
    Rejected,
    Resource,
    WatchEvent,
)
from muster_cluster.reflector import Reflector

PAUSE = "registry.k8s.io/pause:3.10"
BUSYBOX = "busybox:1.36"
SECONDS = 60.0  # a real cluster pulls images meanwhile


class ConfigMap(msgspec.Struct):
    """A struct as a service might name its own."""

    metadata: Metadata
    data: dict[str, str] = {}


CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", ConfigMap)
RAW_JOBS: Resource[dict[str, Any]] = Resource("batch", "v1", "jobs", "Job", dict)
RAW_BUDGETS: Resource[dict[str, Any]] = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", dict)
RAW_CONFIG_MAPS: Resource[dict[str, Any]] = Resource("", "v1", "configmaps", "ConfigMap", dict)
NO_SUCH_KIND = Resource("nowhere.example.org", "v1", "ghosts", "Ghost", AnyObject)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds, or fail after a while."""
    async with asyncio.timeout(SECONDS):
        while not await condition():  # noqa: ASYNC110  (the server is elsewhere: it can only be asked again)
            await asyncio.sleep(0.05)


def config_map(namespace: str, name: str, *, labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, "data": data}


def pod(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return a pod that nobody binds and that, once bound, runs until it is deleted."""
    container = {"name": "main", "image": PAUSE, "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}}}
    base = {"schedulerName": "nobody", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"app": name}}, "spec": base | spec}


async def a_node(cluster: KubernetesCluster) -> Node:
    """Return a node that takes pods."""
    page = await cluster.list_page(NODES)
    return next(node for node in page.items if not node.spec.unschedulable and not node.spec.taints)


def to_bind(unbound: Pod, node: Node, **annotations: str) -> Binding:
    metadata = unbound.metadata
    return Binding(
        metadata.namespace,
        metadata.name,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        node=node.metadata.name,
        annotations=annotations,
    )


async def heard(
    cluster: KubernetesCluster, namespace: str, since: str, count: int, *, label_selector: str = ""
) -> list[WatchEvent[ConfigMap]]:
    """Return the first `count` changes of config maps after a version."""
    events: list[WatchEvent[ConfigMap]] = []
    watch = cluster.watch(CONFIG_MAPS, resource_version=since, namespace=namespace, label_selector=label_selector)
    async with asyncio.timeout(SECONDS), aclosing(watch):
        async for batch in watch:
            events += [event for event in batch if event.change is not Change.BOOKMARK]
            if len(events) >= count:
                return events
    raise AssertionError(f"the watch ended after {events}")


async def whole_watch(
    cluster: KubernetesCluster, namespace: str, since: str, *, label_selector: str
) -> list[WatchEvent[ConfigMap]]:
    """Return all that a watch says of config maps until the server ends it."""
    watch = cluster.watch(CONFIG_MAPS, resource_version=since, namespace=namespace, label_selector=label_selector)
    async with asyncio.timeout(SECONDS):
        return [event async for batch in watch for event in batch]


class ClusterConformance:
    """Every promise of the port. Subclasses give the fixtures `cluster`, `namespace` and `too_old`."""

    async def test_it_tells_its_version_and_which_cluster_it_is(self, cluster: KubernetesCluster) -> None:
        assert (await cluster.version()).startswith("v1.")
        namespace = await cluster.get(NAMESPACES, "", "kube-system")
        assert await cluster.cluster_id() == namespace.metadata.uid != ""

    async def test_it_tells_which_kinds_it_serves_each_once(self, cluster: KubernetesCluster) -> None:
        served = await cluster.served_kinds()
        kinds = {(kind.group, kind.kind): kind for kind in served.kinds}
        assert len(kinds) == len(served.kinds)
        for resource in (PODS, NODES, JOBS, DEPLOYMENTS):
            found = kinds[resource.group, resource.kind]
            assert (found.plural, found.namespaced) == (resource.plural, resource.namespaced)
        assert ("", "Binding") not in kinds, "nobody can list bindings"
        assert not served.silent

    async def test_an_object_is_created_read_and_deleted(self, cluster: KubernetesCluster, namespace: str) -> None:
        created = await cluster.create(CONFIG_MAPS, config_map(namespace, "a", labels={"x": "y"}, key="value"))
        assert created.metadata.key == (namespace, "a")
        assert created.metadata.uid
        assert created.metadata.creation_timestamp is not None
        assert created.data == {"key": "value"}

        read = await cluster.get(CONFIG_MAPS, namespace, "a")
        assert read == created
        await cluster.delete(CONFIG_MAPS, namespace, "a")
        with pytest.raises(NotFound, match='configmaps "a" not found'):
            await cluster.get(CONFIG_MAPS, namespace, "a")
        with pytest.raises(NotFound):
            await cluster.delete(CONFIG_MAPS, namespace, "a")

    async def test_an_object_can_be_read_as_plain_json(self, cluster: KubernetesCluster, namespace: str) -> None:
        await cluster.create(RAW_CONFIG_MAPS, config_map(namespace, "a", key="value"))
        raw = await cluster.get(RAW_CONFIG_MAPS, namespace, "a")
        assert (raw["kind"], raw["data"]) == ("ConfigMap", {"key": "value"})
        page = await cluster.list_page(RAW_CONFIG_MAPS, namespace=namespace, label_selector="!absent")
        assert "a" in [item["metadata"]["name"] for item in page.items]
        assert not any("kind" in item or "apiVersion" in item for item in page.items), "the list says what they are"

    async def test_a_name_can_be_taken_once(self, cluster: KubernetesCluster, namespace: str) -> None:
        await cluster.create(CONFIG_MAPS, config_map(namespace, "a"))
        with pytest.raises(Conflicted, match="already exists"):
            await cluster.create(CONFIG_MAPS, config_map(namespace, "a"))

    async def test_a_name_can_be_left_to_the_server(self, cluster: KubernetesCluster, namespace: str) -> None:
        manifest = {"metadata": {"generateName": "made-", "namespace": namespace}}
        names = {(await cluster.create(CONFIG_MAPS, manifest)).metadata.name for _ in range(3)}
        assert len(names) == 3
        assert all(name.startswith("made-") for name in names)

    @pytest.mark.parametrize(
        "manifest",
        [
            {"metadata": {"name": "No Name"}, "spec": {"containers": [{"name": "c", "image": PAUSE}]}},
            {"metadata": {"name": "a"}, "spec": {"containers": []}},
            {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "Not Good", "image": PAUSE}]}},
            {
                "metadata": {"name": "a"},
                "spec": {"containers": [{"name": "c", "image": PAUSE, "resources": {"requests": {"cpu": "much"}}}]},
            },
        ],
        ids=["name", "no containers", "container name", "quantity"],
    )
    async def test_what_is_not_valid_is_rejected(
        self, cluster: KubernetesCluster, namespace: str, manifest: dict[str, Any]
    ) -> None:
        placed = manifest | {"metadata": manifest["metadata"] | {"namespace": namespace}}
        with pytest.raises(Rejected):
            await cluster.create(PODS, placed)
        assert not (await cluster.list_page(PODS, namespace=namespace)).items

    async def test_what_is_not_there_is_not_found(self, cluster: KubernetesCluster, namespace: str) -> None:
        with pytest.raises(NotFound):
            await cluster.get(PODS, namespace, "ghost")
        with pytest.raises(NotFound):
            await cluster.patch(PODS, namespace, "ghost", {"metadata": {"labels": {"a": "b"}}})
        with pytest.raises(NotFound):
            await cluster.list_page(NO_SUCH_KIND)
        with pytest.raises(NotFound):
            await anext(cluster.watch(NO_SUCH_KIND, resource_version="1"))
        with pytest.raises(NotFound):
            await cluster.create(CONFIG_MAPS, config_map("no-such-namespace", "a"))

    async def test_apply_creates_changes_and_takes_back_its_own_fields_alone(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        created = await cluster.apply(CONFIG_MAPS, config_map(namespace, "a", one="1", two="2"))
        await cluster.patch(CONFIG_MAPS, namespace, "a", {"data": {"theirs": "3"}})
        applied = await cluster.apply(CONFIG_MAPS, config_map(namespace, "a", one="uno"))
        assert applied.metadata.uid == created.metadata.uid
        assert applied.data["one"] == "uno"
        assert "two" not in applied.data
        assert applied.data["theirs"] == "3"

    async def test_applying_the_same_again_changes_nothing(self, cluster: KubernetesCluster, namespace: str) -> None:
        first = await cluster.apply(JOBS, suspended_job(namespace))
        again = await cluster.apply(JOBS, suspended_job(namespace))
        assert (again.metadata.uid, again.metadata.generation) == (first.metadata.uid, first.metadata.generation)
        assert again.spec.suspend

    async def test_a_merge_patch_holds_to_the_version_it_names(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        created = await cluster.create(CONFIG_MAPS, config_map(namespace, "a", key="1", other="1"))
        version = created.metadata.resource_version
        body = {"metadata": {"resourceVersion": version}, "data": {"key": "2", "other": None}}
        patched = await cluster.patch(CONFIG_MAPS, namespace, "a", body)
        assert patched.data == {"key": "2"}
        assert patched.metadata.resource_version != version
        with pytest.raises(Conflicted):
            await cluster.patch(CONFIG_MAPS, namespace, "a", body)

    async def test_a_merge_patch_holds_to_the_object_that_was_meant(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        created = await cluster.create(CONFIG_MAPS, config_map(namespace, "a", key="1"))
        body = {"metadata": {"uid": created.metadata.uid}, "data": {"key": "2"}}
        assert (await cluster.patch(CONFIG_MAPS, namespace, "a", body)).data == {"key": "2"}
        body = {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "data": {"key": "3"}}
        with pytest.raises(Conflicted):
            await cluster.patch(CONFIG_MAPS, namespace, "a", body)
        assert (await cluster.get(CONFIG_MAPS, namespace, "a")).data == {"key": "2"}

    async def test_a_json_patch_does_all_its_steps_or_none(self, cluster: KubernetesCluster, namespace: str) -> None:
        await cluster.create(CONFIG_MAPS, config_map(namespace, "a", key="1"))
        change = {"op": "replace", "path": "/data/key", "value": "2"}
        test = {"op": "test", "path": "/data/key", "value": "1"}
        patched = await cluster.patch(CONFIG_MAPS, namespace, "a", [test, change], patch_type=PatchType.JSON)
        assert patched.data == {"key": "2"}
        with pytest.raises(Rejected):
            await cluster.patch(CONFIG_MAPS, namespace, "a", [change, test], patch_type=PatchType.JSON)

    async def test_a_strategic_patch_merges_containers_by_name(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        await cluster.create(DEPLOYMENTS, deployment(namespace, replicas=0))
        containers = [{"name": "second", "image": PAUSE}]
        body = {"spec": {"template": {"spec": {"containers": containers}}}}
        patched = await cluster.patch(DEPLOYMENTS, namespace, "web", body, patch_type=PatchType.STRATEGIC)
        assert sorted(each.name for each in patched.spec.template.spec.containers) == ["main", "second"]

    async def test_a_list_comes_in_pages_of_one_version(self, cluster: KubernetesCluster, namespace: str) -> None:
        names = [f"page-{number}" for number in range(7)]
        for name in names:
            await cluster.create(CONFIG_MAPS, config_map(namespace, name, labels={"paged": "yes"}))
        pages = [await cluster.list_page(CONFIG_MAPS, namespace=namespace, label_selector="paged=yes", limit=3)]
        while pages[-1].next:
            following = await cluster.list_page(
                CONFIG_MAPS, namespace=namespace, label_selector="paged=yes", limit=3, continue_from=pages[-1].next
            )
            pages.append(following)
        assert [len(page.items) for page in pages] == [3, 3, 1]
        assert [item.metadata.name for page in pages for item in page.items] == names
        assert len({page.resource_version for page in pages}) == 1

    async def test_a_continue_token_that_is_none_is_rejected(self, cluster: KubernetesCluster, namespace: str) -> None:
        with pytest.raises(Rejected):
            await cluster.list_page(CONFIG_MAPS, namespace=namespace, continue_from="nonsense")

    async def test_a_list_shows_what_the_selector_selects(self, cluster: KubernetesCluster, namespace: str) -> None:
        for name, tier in (("a", "front"), ("b", "back"), ("c", "back")):
            await cluster.create(CONFIG_MAPS, config_map(namespace, name, labels={"tier": tier}))

        async def found(selector: str) -> list[str]:
            page = await cluster.list_page(CONFIG_MAPS, namespace=namespace, label_selector=selector)
            return [item.metadata.name for item in page.items if item.metadata.name in "abc"]

        assert await found("tier=back") == ["b", "c"]
        assert await found("tier!=back,tier") == ["a"]
        assert await found("tier in (front, back)") == ["a", "b", "c"]
        assert await found("!tier") == []

    async def test_a_watch_tells_what_happened_after_the_list_and_from_any_point_on(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        await cluster.create(CONFIG_MAPS, config_map(namespace, "before"))
        start = (await cluster.list_page(CONFIG_MAPS, namespace=namespace)).resource_version
        await cluster.create(CONFIG_MAPS, config_map(namespace, "a", key="1"))
        await cluster.patch(CONFIG_MAPS, namespace, "a", {"data": {"key": "2"}})
        await cluster.delete(CONFIG_MAPS, namespace, "a")

        events = [event for event in await heard(cluster, namespace, start, 3) if named(event) == "a"]
        assert [event.change for event in events] == [Change.ADDED, Change.MODIFIED, Change.DELETED]
        versions = [int(event.resource_version) for event in events]
        assert versions == sorted(set(versions))
        assert events[2].item is not None
        assert events[2].item.data == {"key": "2"}

        later = await heard(cluster, namespace, events[0].resource_version, 2)
        assert [event.change for event in later if named(event) == "a"] == [Change.MODIFIED, Change.DELETED]

    async def test_a_watch_tells_what_happens_while_it_is_open(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        start = (await cluster.list_page(CONFIG_MAPS, namespace=namespace)).resource_version
        listening = asyncio.create_task(heard(cluster, namespace, start, 1, label_selector="live=yes"))
        await cluster.create(CONFIG_MAPS, config_map(namespace, "a", labels={"live": "yes"}))
        assert [named(event) for event in await listening] == ["a"]

    async def test_what_no_longer_matches_leaves_a_watch_with_a_selector(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        start = (await cluster.list_page(CONFIG_MAPS, namespace=namespace)).resource_version
        await cluster.create(CONFIG_MAPS, config_map(namespace, "a", labels={"tier": "back"}))
        await cluster.patch(CONFIG_MAPS, namespace, "a", {"metadata": {"labels": {"tier": "front"}}})
        events = await heard(cluster, namespace, start, 2, label_selector="tier=back")
        assert [event.change for event in events] == [Change.ADDED, Change.DELETED]

    async def test_a_watch_ends_when_its_time_is_over_with_a_bookmark(
        self, short_watches: KubernetesCluster, namespace: str
    ) -> None:
        start = (await short_watches.list_page(CONFIG_MAPS, namespace=namespace)).resource_version
        watching = asyncio.create_task(whole_watch(short_watches, namespace, start, label_selector="watched=yes"))
        # A server may keep its bookmark back unless the kind has changed since the watch was opened, though unselected.
        while not watching.done():
            await short_watches.create(CONFIG_MAPS, {"metadata": {"generateName": "other-", "namespace": namespace}})
            await asyncio.wait((watching,), timeout=0.1)
        events = await watching
        assert {event.change for event in events} == {Change.BOOKMARK}
        assert int(events[-1].resource_version) > int(start)
        assert events[-1].item is None

    async def test_a_watch_from_a_forgotten_version_has_expired(
        self, cluster: KubernetesCluster, namespace: str, too_old: str
    ) -> None:
        with pytest.raises(Expired):
            async for _ in cluster.watch(CONFIG_MAPS, resource_version=too_old, namespace=namespace):
                pass

    async def test_a_pod_is_bound_once_with_its_annotations(self, cluster: KubernetesCluster, namespace: str) -> None:
        unbound = await cluster.create(PODS, pod(namespace, "a"))
        node = await a_node(cluster)
        await cluster.bind(to_bind(unbound, node, **{"example.org/devices": "0,1"}))
        bound = await cluster.get(PODS, namespace, "a")
        assert bound.spec.node_name == node.metadata.name
        assert bound.metadata.annotations["example.org/devices"] == "0,1"
        assert any(each.type == "PodScheduled" and each.status == "True" for each in bound.status.conditions)
        with pytest.raises(Conflicted):
            await cluster.bind(to_bind(bound, node))

    async def test_a_pod_is_bound_only_as_the_pod_that_was_meant(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        unbound = await cluster.create(PODS, pod(namespace, "a"))
        binding = to_bind(unbound, await a_node(cluster))
        with pytest.raises(Conflicted):
            await cluster.bind(replace(binding, uid="00000000-0000-0000-0000-000000000000"))
        await cluster.patch(PODS, namespace, "a", {"metadata": {"annotations": {"epoch": "2"}}})
        with pytest.raises(Conflicted):
            await cluster.bind(binding)
        with pytest.raises(NotFound):
            await cluster.bind(replace(binding, name="ghost"))
        assert (await cluster.get(PODS, namespace, "a")).spec.node_name == ""

    async def test_a_pod_is_evicted_only_as_the_pod_that_was_meant(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        created = await cluster.create(PODS, pod(namespace, "a"))
        with pytest.raises(Conflicted):
            await cluster.evict(namespace, "a", uid="00000000-0000-0000-0000-000000000000")
        await cluster.evict(namespace, "a", uid=created.metadata.uid, grace_period_seconds=0)
        with pytest.raises(NotFound):
            await cluster.get(PODS, namespace, "a")
        with pytest.raises(NotFound):
            await cluster.evict(namespace, "a", uid=created.metadata.uid)

    async def test_a_disruption_budget_blocks_an_eviction(self, cluster: KubernetesCluster, namespace: str) -> None:
        budget = {
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        }
        await cluster.create(RAW_BUDGETS, budget)
        await cluster.create(DEPLOYMENTS, deployment(namespace, replicas=1))

        async def healthy() -> bool:
            status = (await cluster.get(RAW_BUDGETS, namespace, "web"))["status"]
            return bool(status["currentHealthy"] == status["expectedPods"] == 1)

        await until(healthy)
        page = await cluster.list_page(PODS, namespace=namespace, label_selector="app=web")
        ready = page.items[0].metadata
        with pytest.raises(EvictionBlocked, match="disruption budget"):
            await cluster.evict(namespace, ready.name, uid=ready.uid)
        assert (await cluster.get(PODS, namespace, ready.name)).metadata.deletion_timestamp is None

    async def test_the_log_of_a_container_is_read(self, cluster: KubernetesCluster, namespace: str) -> None:
        await cluster.create(PODS, talking_pod(namespace))

        async def ended() -> bool:
            return (await cluster.get(PODS, namespace, "talking")).status.phase == "Succeeded"

        await until(ended)
        whole = b"".join([chunk async for chunk in cluster.logs(namespace, "talking", container="main")])
        assert whole == b"first\nsecond\n"
        tail = b"".join([chunk async for chunk in cluster.logs(namespace, "talking", tail_lines=1)])
        assert tail == b"second\n"
        followed = b"".join([chunk async for chunk in cluster.logs(namespace, "talking", follow=True)])
        assert followed == whole
        stamped = b"".join([chunk async for chunk in cluster.logs(namespace, "talking", timestamps=True)])
        assert [line.partition(b" ")[2] for line in stamped.splitlines()] == [b"first", b"second"]

    async def test_there_is_no_log_of_what_is_not_there_or_has_not_begun(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        with pytest.raises(NotFound):
            await anext(cluster.logs(namespace, "ghost"))
        await cluster.create(PODS, pod(namespace, "a"))
        with pytest.raises(Rejected):
            await anext(cluster.logs(namespace, "a", container="other"))

    async def test_an_object_is_deleted_only_as_the_object_that_was_meant(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        created = await cluster.create(CONFIG_MAPS, config_map(namespace, "a"))
        with pytest.raises(Conflicted):
            await cluster.delete(CONFIG_MAPS, namespace, "a", uid="00000000-0000-0000-0000-000000000000")
        await cluster.delete(CONFIG_MAPS, namespace, "a", uid=created.metadata.uid)
        with pytest.raises(NotFound):
            await cluster.get(CONFIG_MAPS, namespace, "a")

    async def test_an_object_with_a_finalizer_stays_until_it_is_taken_away(
        self, cluster: KubernetesCluster, namespace: str
    ) -> None:
        manifest = config_map(namespace, "a")
        manifest["metadata"]["finalizers"] = ["example.org/hold"]
        await cluster.create(CONFIG_MAPS, manifest)
        await cluster.delete(CONFIG_MAPS, namespace, "a")
        assert (await cluster.get(CONFIG_MAPS, namespace, "a")).metadata.deletion_timestamp is not None
        await cluster.patch(CONFIG_MAPS, namespace, "a", {"metadata": {"finalizers": None}})
        with pytest.raises(NotFound):
            await cluster.get(CONFIG_MAPS, namespace, "a")

    async def test_deleting_an_owner_takes_what_it_owns_along(self, cluster: KubernetesCluster, namespace: str) -> None:
        owner = await cluster.create(CONFIG_MAPS, config_map(namespace, "owner"))
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}
        owned = config_map(namespace, "owned")
        owned["metadata"]["ownerReferences"] = [reference | {"controller": True}]
        created = await cluster.create(CONFIG_MAPS, owned)
        assert created.metadata.controller is not None
        assert created.metadata.controller.uid == owner.metadata.uid

        async def gone() -> bool:
            page = await cluster.list_page(CONFIG_MAPS, namespace=namespace)
            return "owned" not in [item.metadata.name for item in page.items]

        await cluster.delete(CONFIG_MAPS, namespace, "owner")
        await until(gone)

    async def test_a_job_runs_to_its_end(self, cluster: KubernetesCluster, namespace: str) -> None:
        manifest = suspended_job(namespace)
        manifest["spec"]["suspend"] = False
        await cluster.apply(JOBS, manifest)

        async def complete() -> bool:
            job = await cluster.get(JOBS, namespace, "job")
            return any(each.type == "Complete" and each.status == "True" for each in job.status.conditions)

        await until(complete)
        status = (await cluster.get(RAW_JOBS, namespace, "job"))["status"]
        assert (status["succeeded"], status.get("failed", 0)) == (1, 0)
        assert status["completionTime"]

    async def test_a_reflector_mirrors_what_happens(self, cluster: KubernetesCluster, namespace: str) -> None:
        await cluster.create(PODS, pod(namespace, "before"))
        reflector = Reflector(cluster, PODS, random=Random(1), namespace=namespace, page_size=1)
        steps: list[tuple[str, str, bool]] = []
        async with asyncio.timeout(SECONDS), aclosing(reflector.run()) as batches:
            async for batch in batches:
                for delta in batch.deltas:
                    known = delta.new or delta.old
                    assert known is not None
                    steps.append((known.metadata.name, "gone" if delta.new is None else "there", delta.seen))
                if batch.synced:
                    await cluster.create(PODS, pod(namespace, "after"))
                    await cluster.delete(PODS, namespace, "before")
                if ("before", "gone", True) in steps and ("after", "there", True) in steps:
                    break
        assert list(reflector.items) == [(namespace, "after")]


def named(event: WatchEvent[ConfigMap]) -> str:
    assert event.item is not None
    return event.item.metadata.name


def deployment(namespace: str, *, replicas: int) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": PAUSE}]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": "web", "namespace": namespace}, "spec": spec}


def suspended_job(namespace: str) -> dict[str, Any]:
    container = {"name": "main", "image": BUSYBOX, "command": ["true"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    spec = {"suspend": True, "backoffLimit": 0, "template": template}
    return {"metadata": {"name": "job", "namespace": namespace}, "spec": spec}


def talking_pod(namespace: str) -> dict[str, Any]:
    """Return a pod that says two lines and ends."""
    container = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", "echo first; echo second"]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    return {"metadata": {"name": "talking", "namespace": namespace}, "spec": spec}
