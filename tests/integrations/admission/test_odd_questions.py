"""Questions nobody should ask, sent to the webhook over HTTPS as an API server would: each gets one clear answer."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from integrations.admission.stage import ELSEWHERE, HOME, Stage, pod

GPU = "nvidia.com/gpu"
Ask = Callable[[Any], Awaitable[tuple[int, Any]]]


@pytest.fixture
async def ask(stage: Stage) -> AsyncIterator[Ask]:
    """Sends a body to the webhook; returns the status of the answer, and its JSON or text."""
    async with stage.up(), aiohttp.ClientSession() as session:

        async def send(body: Any) -> tuple[int, Any]:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            async with session.post(f"https://127.0.0.1:{stage.port}/review", data=data, ssl=False) as answer:
                text = await answer.text()
                return answer.status, json.loads(text) if answer.content_type == "application/json" else text

        yield send


def question(written: Any, namespace: str = HOME, **request: Any) -> dict[str, Any]:
    """A review of an object that alice creates."""
    asked = {"uid": "u", "operation": "CREATE", "userInfo": {"username": "alice"}, "namespace": namespace}
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {**asked, "object": written, **request},
    }


def odd(annotations: Any = None, *, labels: Any = None, spec: Any = None, **container: Any) -> dict[str, Any]:
    """A pod of the project demo that is odd in one way."""
    written = pod("odd", labels={} if labels is None else labels)
    written |= {"apiVersion": "v1", "kind": "Pod"}
    written["metadata"] |= {"annotations": annotations} if annotations else {}
    written["spec"]["containers"][0] |= container
    written["spec"] |= spec or {}
    return written


def limits(amount: Any) -> dict[str, Any]:
    return {"resources": {"limits": {GPU: amount}}}


def container(name: str, amount: str) -> dict[str, Any]:
    return {"name": name, "image": "i"} | limits(amount)


SHARE = "write a number between 0 and 1 with at most six decimals, as 0.5."
COUNT = "write a whole number from 1 to 999999999."
ODD_PODS = [
    *((odd({"gpu-fraction": text}), f"{text!r} is no portion of a GPU (the annotation gpu-fraction): {SHARE}")
      for text in ("0", "-1", "1", "1e-3", "1.5", "nan", "inf", "0.5000000001", "0x1", "½", "0,5", "", "0.", "٠.٥")),
    *((odd({"gpu-memory": text}), f"{text!r} is not a number of MiB (the annotation gpu-memory): {COUNT}")
      for text in ("0", "-1", "1.5", "1Gi", "nan", "", "9999999999")),
    (odd({"gpu-fraction": "0.5", "gpu-fraction-num-devices": "0"}),
     f"'0' is not a number of GPUs (the annotation gpu-fraction-num-devices): {COUNT}"),
    (odd({"gpu-fraction-num-devices": "2"}),
     "2 GPUs are asked for, but no portion of them: add the annotation gpu-fraction."),
    (odd({"gpu-fraction": "0.5", "gpu-memory": "1000"}),
     "A portion of a GPU is a share (the annotation gpu-fraction) or an amount of memory, not both at once."),
    (odd({"gpu-fraction": "0.5", "muster.dev/gpu-fraction": "0.25"}),
     "Two portions of a GPU are asked for, 0.25 (the annotation muster.dev/gpu-fraction) and 0.5 (the annotation "
     "gpu-fraction): leave one."),
    (odd(**limits("1.5")),
     "1.5 GPUs cannot be given (nvidia.com/gpu of the container main): ask for whole ones, or for a portion of one."),
    (odd({"gpu-fraction": "0.5"}, **limits("2")),
     "The container main asks for whole GPUs and the pod for a portion: leave one of them."),
    (odd(spec={"initContainers": [container("first", "0.5")]}),
     "An init container gets no portion of a GPU: take it away from nvidia.com/gpu of the container first."),
    (odd({"gpu-fraction": "0.5"}, spec={"initContainers": [container("first", "1")]}),
     "The container first asks for whole GPUs and the pod for a portion: leave one of them."),
    (odd(spec={"containers": [container("a", "0.5"), container("b", "0.5")]}),
     "One container of a pod gets a portion of a GPU, not 2: leave it to one of them."),
    (odd(spec={"containers": [container("a", "0.5"), container("b", "1")]}),
     "The container b asks for whole GPUs and the pod for a portion: leave one of them."),
    (odd({"gpu-fraction": "0.5"}, labels={"kubevirt.io": "virt-launcher"}),
     "A virtual machine of KubeVirt gets whole GPUs: take away what asks for a portion of one (the annotation "
     "gpu-fraction)."),
    (odd(labels={"project": "demo"}, spec={"resourceClaims": [{"name": "gpu"}]}),
     "Muster allocates no resource claims, so the pod would never start: ask for nvidia.com/gpu or a portion of one "
     "instead of spec.resourceClaims, or name another scheduler."),
]  # fmt: skip


async def test_each_odd_pod_is_refused_with_its_sentence(ask: Ask) -> None:
    for written, sentence in ODD_PODS:
        status, answer = await ask(question(written))
        response = answer["response"]
        assert (status, response["uid"], response["allowed"]) == (200, "u", False), sentence
        assert response["status"] == {"code": 403, "reason": "Forbidden", "message": sentence}


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(odd({"gpu-fraction": " 0.5"}), id="a share with a blank"),
        pytest.param(odd(**limits(0.5)), id="a limit that is a number"),
        pytest.param(odd(**limits("-1")), id="a limit below nothing, for the API server"),
        pytest.param(odd(**limits("nan")), id="a limit that is none, for the API server"),
        pytest.param(odd(**limits("1e99")), id="a limit beyond all bounds"),
        pytest.param(odd(**limits({"half": True})), id="a limit without shape, for the API server"),
        pytest.param(odd(env=[{"name": "RUNAI_GPU_FRACTION", "valueFrom": {}}]), id="a variable from elsewhere"),
        pytest.param(odd({"note": "x" * 2_000_000}), id="an object of two megabytes"),
        pytest.param({"apiVersion": "v2", "kind": "Pod", "metadata": []}, id="another version, without shape"),
        pytest.param({"apiVersion": 7, "kind": None}, id="neither version nor kind"),
        pytest.param({}, id="an empty object"),
    ],
)
async def test_what_is_odd_and_no_business_of_ours_passes(ask: Ask, written: Any) -> None:
    status, answer = await ask(question(written))
    assert (status, answer["response"]["allowed"]) == (200, True)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"operation": "DELETE", "object": None}, id="a deletion"),
        pytest.param({"operation": "CONNECT", "subResource": "exec"}, id="a connection"),
        pytest.param({"operation": "DESTROY"}, id="an unknown operation"),
        pytest.param({"operation": "UPDATE", "subResource": "status", "oldObject": odd()}, id="a subresource"),
        pytest.param({"namespace": "nowhere"}, id="a namespace that does not exist"),
        pytest.param({"namespace": ELSEWHERE}, id="a namespace of no project"),
        pytest.param({"object": odd(), "dryRun": True}, id="a dry run"),
        pytest.param({"object": odd(), "options": {"kind": "CreateOptions"}}, id="fields we do not know"),
    ],
)
async def test_what_is_not_ours_to_judge_passes_unchanged(ask: Ask, request_: dict[str, Any]) -> None:
    status, answer = await ask(question(odd({"gpu-fraction": "seven"}), **request_))
    assert (status, answer) == (
        200,
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "u", "allowed": True}},
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "This is no AdmissionReview: Input data was truncated."),
        (b"[]", "This is no AdmissionReview: Expected `object`, got `array`."),
        (b"{}", "This is no AdmissionReview: Object missing required field `request`."),
        (b'{"request": 7}', "This is no AdmissionReview: Expected `object`, got `int` - at `$.request`."),
        (b'{"request": {"uid": "1"}}', "missing required field `operation` - at `$.request`."),
        (b'{"request": {"uid": "1", "operation": "CREATE", "object": []}}', "`$.request.object`."),
        (b"\xff", "This is no AdmissionReview:"),
        (b"[" * 100_000, "This is no AdmissionReview:"),
        (b'{"request":' * 5_000, "This is no AdmissionReview:"),
        (
            question(odd()) | {"apiVersion": "admission.k8s.io/v1beta1"},
            "Only an AdmissionReview of admission.k8s.io/v1 is answered, not 'AdmissionReview' of "
            "'admission.k8s.io/v1beta1'.",
        ),
        (question(odd()) | {"kind": "Status"}, "not 'Status' of 'admission.k8s.io/v1'."),
    ],
)
async def test_what_is_no_question_is_a_bad_request(ask: Ask, body: Any, said: str) -> None:
    status, text = await ask(body)
    assert status == 400
    assert said in text


async def test_what_is_larger_than_any_object_is_not_read(ask: Ask) -> None:
    status, _ = await ask(b" " * (9 * 1024 * 1024))
    assert status == 413
