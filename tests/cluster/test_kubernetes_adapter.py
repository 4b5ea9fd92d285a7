"""The adapter over real sockets against servers that misbehave; what a proper one does is `conformance`'s business."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from cluster.history_server import Fault, History, HistoryServer, Turn, encode, kubeconfig, line, over_http, serving
from muster_cluster.kubernetes import KubernetesCluster, error_of
from muster_cluster.objects import PODS, AnyObject, Pod
from muster_cluster.port import (
    Change,
    ClusterError,
    Conflicted,
    EvictionBlocked,
    Expired,
    Forbidden,
    NotFound,
    Rejected,
    Resource,
)
from muster_cluster.transport import ClientTransport, Request
from muster_contracts.errors import Refused, Unavailable

THINGS = Resource("example.org", "v1", "things", "Thing", AnyObject)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def cluster_behind(handler: Handler, folder: Path, user: str = "{}") -> AsyncGenerator[KubernetesCluster, None]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with serving(application) as url:
        cluster = await KubernetesCluster.connect(kubeconfig(folder, url, user))
        yield cluster
        await cluster.close()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, Rejected),
        (401, Unavailable),
        (403, Forbidden),
        (404, NotFound),
        (405, Rejected),
        (408, Unavailable),
        (409, Conflicted),
        (410, Expired),
        (413, Rejected),
        (415, Rejected),
        (422, Rejected),
        (429, Unavailable),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
def test_every_status_is_one_kind_of_error_with_the_servers_own_sentence(
    code: int, error: type[ClusterError] | type[Unavailable]
) -> None:
    answered = error_of(code, encode({"kind": "Status", "code": code, "message": "because"}))
    told = error_of(0, encode({"kind": "Status", "code": code, "message": "because"}))
    assert type(answered) is type(told) is error
    assert str(answered) == str(told) == "because"


def test_an_eviction_that_a_budget_blocks_is_told_from_a_busy_server() -> None:
    body: dict[str, Any] = {"code": 429, "message": "no", "details": {"causes": [{"reason": "DisruptionBudget"}]}}
    assert isinstance(error_of(429, encode(body)), EvictionBlocked)
    assert not isinstance(error_of(429, encode({"code": 429, "message": "busy"})), EvictionBlocked)


def test_a_version_from_the_servers_lost_future_means_a_new_list() -> None:
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    assert isinstance(
        error_of(504, encode({"code": 504, "message": "Too large", "details": {"causes": causes}})), Expired
    )


def test_an_answer_that_is_no_status_is_shown_as_it_is() -> None:
    assert str(error_of(502, b"<html>bad gateway</html>\n")) == "<html>bad gateway</html>"
    assert str(error_of(503, b"")) == "Kubernetes answered 503."


async def test_an_answer_that_is_not_json_is_the_worlds_fault(tmp_path: Path) -> None:
    async def captive_portal(_: web.Request) -> web.Response:
        return web.Response(text="<html>please sign in</html>", content_type="text/html")

    async with cluster_behind(captive_portal, tmp_path) as cluster:
        with pytest.raises(Unavailable, match="not answer in JSON"):
            await cluster.get(PODS, "default", "a")


async def test_what_may_not_be_read_is_the_worlds_trouble_and_what_may_not_be_written_a_refusal(tmp_path: Path) -> None:
    async def forbidding(_: web.Request) -> web.Response:
        return web.json_response({"code": 403, "message": "not yours"}, status=403)

    async with cluster_behind(forbidding, tmp_path) as cluster:
        with pytest.raises(Unavailable, match="not yours"):
            await cluster.get(PODS, "default", "a")
        with pytest.raises(Unavailable, match="not yours"):
            await cluster.list_page(PODS)
        with pytest.raises(Unavailable, match="not yours"):
            await anext(cluster.watch(PODS, resource_version="4"))
        with pytest.raises(Forbidden, match="not yours"):
            await cluster.delete(PODS, "default", "a")
        with pytest.raises(Forbidden, match="not yours"):
            await anext(cluster.logs("default", "a"))


async def test_a_watch_that_is_no_longer_allowed_is_the_worlds_trouble(tmp_path: Path) -> None:
    async def revoked(_: web.Request) -> web.Response:
        return web.Response(body=line("ERROR", {"code": 403, "message": "not yours"}))

    async with cluster_behind(revoked, tmp_path) as cluster:
        with pytest.raises(Unavailable, match="not yours"):
            await anext(cluster.watch(PODS, resource_version="4"))


async def test_an_empty_list_may_be_written_as_null(tmp_path: Path) -> None:
    async def nothing(_: web.Request) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": None})

    async with cluster_behind(nothing, tmp_path) as cluster:
        page = await cluster.list_page(PODS)
        assert (list(page.items), page.resource_version, page.next) == ([], "7", "")


async def test_nobody_listening_is_unavailable(tmp_path: Path) -> None:
    async with over_http(HistoryServer(History([]))) as url:
        pass
    cluster = await KubernetesCluster.connect(kubeconfig(tmp_path, url))
    with pytest.raises(Unavailable, match="GET /version: no answer from Kubernetes"):
        await cluster.version()
    with pytest.raises(Unavailable):
        await anext(cluster.watch(PODS, resource_version="1"))
    await cluster.close()


async def test_a_list_that_is_cut_off_is_unavailable(tmp_path: Path) -> None:
    history = History([("put", "a")])
    async with over_http(HistoryServer(history, [Turn(Fault.CUT, steps=1, cut=1)])) as url:
        cluster = await KubernetesCluster.connect(kubeconfig(tmp_path, url))
        with pytest.raises(Unavailable):
            await cluster.list_page(THINGS)
        await cluster.close()


async def test_a_watch_cut_in_the_middle_of_a_line_tells_what_came_whole(tmp_path: Path) -> None:
    async def one_and_a_half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        whole = line("ADDED", {"metadata": {"name": "a", "resourceVersion": "5"}})
        await response.write(whole + whole[: len(whole) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    async with cluster_behind(one_and_a_half, tmp_path) as cluster:
        watch = cluster.watch(PODS, resource_version="4")
        assert [(event.change, event.resource_version) for event in await anext(watch)] == [(Change.ADDED, "5")]
        with pytest.raises(Unavailable):
            await anext(watch)


async def test_changes_before_an_error_in_a_watch_are_told_first(tmp_path: Path) -> None:
    async def then_expired(_: web.Request) -> web.Response:
        added = line("ADDED", {"metadata": {"name": "a", "resourceVersion": "5"}})
        return web.Response(body=added + line("ERROR", {"code": 410, "message": "too old"}))

    async with cluster_behind(then_expired, tmp_path) as cluster:
        watch = cluster.watch(PODS, resource_version="4")
        assert [event.resource_version for event in await anext(watch)] == ["5"]
        with pytest.raises(Expired, match="too old"):
            await anext(watch)


async def test_a_server_that_falls_silent_is_unavailable(tmp_path: Path) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    application = web.Application()
    application.router.add_get("/{path:.*}", silent)
    async with serving(application) as url:
        transport = await ClientTransport.connect(kubeconfig(tmp_path, url))
        with pytest.raises(Unavailable):
            await transport.request(Request("GET", "/version", timeout_seconds=0.1))
        async with transport.stream(Request("GET", "/version", timeout_seconds=0.1)) as stream:
            with pytest.raises(Unavailable):
                await anext(stream.chunks)
        await transport.close()


async def test_a_watch_that_nobody_reads_any_more_lets_go_of_its_connection(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(line("BOOKMARK", {"metadata": {"resourceVersion": "9"}}))
                await asyncio.sleep(0.01)
        finally:
            left.set()

    async with cluster_behind(endless, tmp_path) as cluster:
        watch = cluster.watch(PODS, resource_version="4")
        await anext(watch)
        await watch.aclose()
        async with asyncio.timeout(10):
            await left.wait()


@pytest.mark.parametrize(("excepted", "is_met"), [("", True), ("kubernetes.invalid", False)])
async def test_the_proxy_that_the_environment_names_is_used_unless_it_excepts_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, excepted: str, is_met: bool
) -> None:
    hosts: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        hosts.append(request.host)
        return web.json_response({"gitVersion": "v1.37.0"})

    application = web.Application()
    application.router.add_get("/version", proxy)
    async with serving(application) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", excepted)
        cluster = await KubernetesCluster.connect(kubeconfig(tmp_path, "http://kubernetes.invalid"))
        with nullcontext() if is_met else pytest.raises(Unavailable):
            assert await cluster.version() == "v1.37.0"
        await cluster.close()
    assert hosts == (["kubernetes.invalid"] if is_met else [])


async def test_the_token_of_the_kubeconfig_is_sent_and_read_anew_when_it_has_run_out(tmp_path: Path) -> None:
    good = "first"

    async def guarded(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {good}":
            return web.json_response({"code": 401, "message": "Unauthorized"}, status=401)
        return web.json_response({"gitVersion": "v1.37.0"})

    token = tmp_path / "token"
    token.write_text("first")
    async with cluster_behind(guarded, tmp_path, f"{{tokenFile: {token}}}") as cluster:
        assert await cluster.version() == "v1.37.0"
        good = "second"
        with pytest.raises(Unavailable, match="Unauthorized"):
            await cluster.version()
        token.write_text("second")
        assert await cluster.version() == "v1.37.0"


@pytest.mark.parametrize("proxy", ["", "proxied"])
async def test_the_line_break_at_the_end_of_a_token_is_not_sent(
    tmp_path: Path, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, str, str]] = []

    async def listening(request: web.Request) -> web.Response:
        heard.append((request.method, request.headers["Authorization"], (await request.text()).replace(" ", "")))
        return web.json_response({"kind": "Thing", "metadata": {"name": "one"}})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", listening)
    async with serving(application) as url:
        if proxy:  # then everything goes through the package's client
            monkeypatch.setenv("http_proxy", url)
        cluster = await KubernetesCluster.connect(kubeconfig(tmp_path, url, '{token: "first\\r\\n"}'))
        await cluster.patch(THINGS, "lab", "one", {"a": 1})
        assert [events async for events in cluster.watch(THINGS, resource_version="1")] == []
        await cluster.close()
    assert heard == [("PATCH", "Bearer first", '{"a":1}'), ("GET", "Bearer first", "")]


async def test_a_token_of_two_lines_is_refused_and_later_a_trouble_that_passes(tmp_path: Path) -> None:
    async def knowing_nobody(request: web.Request) -> web.Response:
        return web.json_response({"code": 401, "message": "Unauthorized"}, status=401)

    with pytest.raises(Refused, match=r"The token for http://127.0.0.1:1 holds a line break") as refused:
        await KubernetesCluster.connect(kubeconfig(tmp_path, "http://127.0.0.1:1", '{token: "first\\nsecond"}'))
    assert "second" not in refused.value.message
    token = tmp_path / "token"
    token.write_text("first")
    async with cluster_behind(knowing_nobody, tmp_path, f"{{tokenFile: {token}}}") as cluster:
        token.write_text("first\nsecond")
        with pytest.raises(Unavailable, match="holds a line break"):
            await cluster.version()


@pytest.mark.parametrize(
    "content",
    ["", "just text", "[]", "clusters: 7", "current-context: x", "{unclosed", "contexts: [{}]\ncurrent-context: a"],
)
async def test_a_kubeconfig_that_cannot_be_used_is_refused_with_its_path(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    with pytest.raises(Refused, match=str(path)):
        await KubernetesCluster.connect(path)


async def test_an_address_or_an_authority_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="'kubernetes:6443' is not the address of an API server"):
        await KubernetesCluster.connect(kubeconfig(tmp_path, "kubernetes:6443"))
    path = kubeconfig(tmp_path, 'https://127.0.0.1:1", certificate-authority-data: "bm9uc2Vuc2U=')
    with pytest.raises(Refused, match=r"certificates for https://127\.0\.0\.1:1 cannot be used"):
        await KubernetesCluster.connect(path)


async def test_a_kubeconfig_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="There is no kubeconfig"):
        await KubernetesCluster.connect(tmp_path / "nowhere")


async def test_outside_a_pod_a_kubeconfig_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Refused, match="not a pod with a service account"):
        await KubernetesCluster.connect()


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../secrets/x", "%2e%2e"])
def test_a_name_cannot_climb_out_of_its_path(name: str) -> None:
    with pytest.raises(Rejected, match="cannot be the name"):
        PODS.path("default", name)
    with pytest.raises(Rejected, match="cannot be the name"):
        PODS.path(name, "a")


async def test_objects_of_another_shape_than_ours_stop_whoever_asked(tmp_path: Path) -> None:
    async def malformed(_: web.Request) -> web.Response:
        return web.json_response({"metadata": {"name": 7}})

    async with cluster_behind(malformed, tmp_path) as cluster:
        with pytest.raises(ValueError, match=r"Expected `str`, got `int` - at `\$.metadata.name`"):
            await cluster.get(PODS, "default", "a")


def test_what_we_do_not_name_is_skipped_and_what_is_missing_has_a_default() -> None:
    pod = msgspec.json.decode(b'{"metadata":{"name":"a","managedFields":[{}]},"spec":{"hostAliases":[1]}}', type=Pod)
    assert (pod.metadata.name, pod.status.phase, pod.spec.containers) == ("a", "Pending", ())
