"""How far an Argo Workflow is: a pure answer from its spec, the nodes its status remembers, and the pods there are.

`Run.proceed` walks from the entry point through DAGs, steps and retries, takes up what became of the pods and returns
the steps that are to be begun; `Run.status` is what the workflow's status says then. A node that has ended stays as it
was, also when its pod is gone; the pod of a node that has not ended must be there, or the node is an `Error`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simcluster.operators import argo_text
from simcluster.pods import name_of, phase_of, uid_of
from simcluster.resources import Object

Node = dict[str, Any]
Template = Mapping[str, Any]

FAILED = ("Failed", "Error")
ENDED = ("Succeeded", *FAILED)
_DONE = (*ENDED, "Skipped", "Omitted")
_OUTPUT = "sim.output."
_NOT_BEGUN = ""
_UNLIMITED = 1_000_000


@dataclass(frozen=True)
class Step:
    """A node whose pod is to be made."""

    node: Node
    template: Template
    pod_name: str
    failures: int = 0  # of attempts before


@dataclass(frozen=True)
class _Place:
    """Where in the workflow a template is executed, and what goes in there."""

    template: str
    name: str
    shown: str
    boundary: str
    inputs: Mapping[str, str]
    failures: int = 0


class Run:
    """One look at a workflow."""

    def __init__(self, workflow: Object, pods: Mapping[str, Object], now: str) -> None:
        """Begin with the nodes the status remembers; `pods` are by the name of their node."""
        self._workflow = workflow
        self._spec = workflow["spec"]
        self._before: Mapping[str, Any] = workflow.get("status") or {}
        self._nodes: dict[str, Node] = {node["name"]: dict(node) for node in (self._before.get("nodes") or {}).values()}
        self._pods = pods
        self._now = now
        self._templates = {template["name"]: template for template in self._spec["templates"]}
        self._begun: list[Step] = []

    def proceed(self) -> Sequence[Step]:
        """Take up what became of the pods; return what begins now."""
        self._execute(self._root)
        return self._begun

    def end_all(self, message: str) -> None:
        """Let everything that has not ended fail, for the workflow was shut down."""
        for node in self._nodes.values():
            if node["phase"] not in _DONE:
                self._end(node, "Failed", message)
        root = self._begin(self._root, "DAG")
        if root["phase"] not in _DONE:
            self._end(root, "Failed", message)

    def refuse(self, step: Step, message: str) -> None:
        """Take note that a pod could not be made as it is wanted, and never will be."""
        self._end(step.node, "Error", message)

    def status(self) -> dict[str, Any]:
        """Return the workflow's status."""
        root = self._nodes.get(name_of(self._workflow), {})
        over = root.get("phase") in ENDED
        pods = [node for node in self._nodes.values() if node["type"] == "Pod"]
        done = sum(1 for node in pods if node["phase"] in ENDED)
        running = any(node["phase"] == "Running" for node in pods)
        conditions = [{"type": "PodRunning", "status": str(running)}]
        status: dict[str, Any] = {
            "phase": root["phase"] if over else "Running",
            "startedAt": self._before.get("startedAt", self._now),
            "finishedAt": self._now if over else None,
            "progress": f"{done}/{len(pods)}",
            "nodes": {node["id"]: node for node in self._nodes.values()},
            "conditions": [*conditions, {"type": "Completed", "status": "True"}] if over else conditions,
        }
        return status | ({"message": root["message"]} if root.get("message") else {})

    @property
    def _root(self) -> _Place:
        name = name_of(self._workflow)
        return _Place(self._spec["entrypoint"], name, name, "", self._globals())

    def _globals(self) -> dict[str, str]:
        known = {"workflow.name": name_of(self._workflow), "workflow.uid": uid_of(self._workflow)}
        arguments = (self._spec.get("arguments") or {}).get("parameters") or ()
        return known | {f"workflow.parameters.{each['name']}": str(each.get("value", "")) for each in arguments}

    def _execute(self, place: _Place) -> str:
        """Bring a node and what is below it a step further; return its phase."""
        node, template = self._nodes.get(place.name), self._templates.get(place.template)
        if node is not None and node["phase"] in _DONE:
            return str(node["phase"])
        if template is None:
            return self._end(self._begin(place, "Pod"), "Error", f"template {place.template} not found")
        place = replace(place, inputs=argo_text.with_defaults(template, place.inputs))
        if "dag" in template:
            return self._conclude(place, template, "DAG", self._dag(place, template))
        if "steps" in template:
            return self._conclude(place, template, "Steps", self._steps(place, template))
        return self._retried(place, template) if template.get("retryStrategy") else self._pod(place, template)

    def _conclude(self, place: _Place, template: Template, kind: str, outcomes: Mapping[str, str]) -> str:
        """Say what the outcomes of the parts mean for the whole."""
        node = self._begin(place, kind)
        if any(phase in ("Pending", "Running") for phase in outcomes.values()):
            return "Running"
        if failed := next((name for name, phase in outcomes.items() if phase in FAILED), None):
            return self._end(node, "Failed", f"child '{argo_text.node_id(self._workflow, failed)}' failed")
        if _NOT_BEGUN in outcomes.values():
            return "Running"
        scope = self._scope(place, "tasks" if kind == "DAG" else "steps")
        return self._end(node, "Succeeded", outputs=argo_text.outputs_of_parts(template, scope))

    def _dag(self, place: _Place, template: Template) -> dict[str, str]:
        """Return the outcomes of a DAG's tasks by node; a failure that another task answers for counts no more."""
        tasks = template["dag"]["tasks"]
        outcomes: dict[str, str] = {}
        for task in argo_text.in_order(tasks):
            outcomes[task["name"]] = self._task(place, task, outcomes, argo_text.answered(tasks))
        excused = {name for name in argo_text.answered(tasks) if outcomes.get(name) in FAILED}
        return {f"{place.name}.{name}": phase for name, phase in outcomes.items() if name not in excused}

    def _task(self, place: _Place, task: Mapping[str, Any], outcomes: Mapping[str, str], answered: set[str]) -> str:
        name, scope = f"{place.name}.{task['name']}", self._scope(place, "tasks")
        inner = self._part(place, task, name, scope)
        if name in self._nodes:
            return self._execute(inner)
        verdict = argo_text.dependencies_met(task, outcomes)
        if verdict is False:
            return self._end(self._begin(inner, "Skipped"), "Omitted", "omitted: depends condition not met")
        if verdict is None or self._has_failed(inner.boundary, answered):
            return _NOT_BEGUN
        return self._unless_skipped(inner, task, scope)

    def _steps(self, place: _Place, template: Template) -> dict[str, str]:
        """Return the outcomes of the groups up to the first that is not through."""
        outcomes: dict[str, str] = {}
        for number, group in enumerate(template["steps"]):
            name = f"{place.name}[{number}]"
            scope = self._scope(place, "steps")
            phases = {}
            for step in group:
                inner = self._part(place, step, f"{name}.{step['name']}", scope)
                phases[inner.name] = (
                    self._execute(inner) if inner.name in self._nodes else self._unless_skipped(inner, step, scope)
                )
            outer = replace(
                place, name=name, shown=f"[{number}]", boundary=argo_text.node_id(self._workflow, place.name)
            )
            outcomes[name] = self._conclude(outer, {}, "StepGroup", phases)
            if outcomes[name] != "Succeeded":
                break
        return outcomes

    def _part(self, place: _Place, part: Mapping[str, Any], name: str, scope: Mapping[str, str]) -> _Place:
        """Return the place of a task or step within a DAG or steps."""
        inputs = self._globals() | argo_text.arguments_of(part, scope)
        boundary = argo_text.node_id(self._workflow, place.name)
        return _Place(part["template"], name, part["name"], boundary, inputs)

    def _unless_skipped(self, place: _Place, part: Mapping[str, Any], scope: Mapping[str, str]) -> str:
        """Execute a part that has not begun, if its `when` holds."""
        if not argo_text.holds(argo_text.resolve(part.get("when", ""), scope)):
            return self._end(self._begin(place, "Skipped"), "Skipped", f"when '{part['when']}' evaluated false")
        return self._execute(place)

    def _scope(self, place: _Place, prefix: str) -> dict[str, str]:
        """Return what a template's parts may refer to: its inputs and the outputs of the parts that have ended."""
        boundary = argo_text.node_id(self._workflow, place.name)
        outputs = {
            f"{prefix}.{node['displayName']}.outputs.parameters.{output['name']}": output["value"]
            for node in self._nodes.values()
            if node.get("boundaryID") == boundary
            for output in (node.get("outputs") or {}).get("parameters") or ()
        }
        return {**place.inputs, **outputs}

    def _has_failed(self, boundary: str, answered: set[str]) -> bool:
        """Say whether a part has failed and nothing is there to answer for it: no further part begins then."""
        return any(
            node.get("boundaryID") == boundary and node["phase"] in FAILED and node["displayName"] not in answered
            for node in self._nodes.values()
        )

    def _retried(self, place: _Place, template: Template) -> str:
        strategy = template["retryStrategy"]
        retryable = {"Always": FAILED, "OnError": ("Error",)}.get(strategy.get("retryPolicy", ""), ("Failed",))
        limit = int(strategy.get("limit", _UNLIMITED))
        node = self._nodes.get(place.name)
        phase, attempt = _NOT_BEGUN, 0
        for attempt in range(limit + 1):
            inner = replace(place, name=f"{place.name}({attempt})", shown=f"{place.shown}({attempt})", failures=attempt)
            phase = self._pod(inner, template)
            if phase not in retryable:
                break
        if phase == _NOT_BEGUN and node is None:
            return phase
        node = self._begin(place, "Retry")
        if phase not in ENDED:
            return "Running"
        last = self._nodes[f"{place.name}({attempt})"]
        return self._end(node, phase, "" if phase == "Succeeded" else "No more retries left", last.get("outputs"))

    def _pod(self, place: _Place, template: Template) -> str:
        """Begin a node with a pod, or take up what became of it."""
        node = self._nodes.get(place.name)
        if node is None:
            return self._begin_pod(place, template)
        if node["phase"] in _DONE:
            return str(node["phase"])
        pod = self._pods.get(place.name)
        if pod is None:
            return self._end(node, "Error", "pod deleted")
        node["phase"] = phase_of(pod)
        if node["phase"] in ENDED:
            succeeded = node["phase"] == "Succeeded"
            outputs = argo_text.outputs_of_container(template, _OUTPUT) if succeeded else None
            self._end(node, node["phase"], "" if succeeded else _failure_of(pod), outputs)
        return str(node["phase"])

    def _begin_pod(self, place: _Place, template: Template) -> str:
        if self._spec.get("suspend") or self._spec.get("shutdown"):
            return _NOT_BEGUN
        node = self._begin(place, "Pod", "Pending")
        if place.name in self._pods:
            return "Pending"  # it was made, and what else began with it was refused before anything could be noted
        name = argo_text.pod_name(self._workflow, place.name, place.template)
        resolved = argo_text.resolve_all(template, place.inputs)
        self._begun.append(Step(node, resolved, name, place.failures))
        return "Pending"

    def _begin(self, place: _Place, kind: str, phase: str = "Running") -> Node:
        """Return a node, new if it is not there yet."""
        node = self._nodes.get(place.name)
        if node is None:
            node = self._nodes[place.name] = {
                "id": argo_text.node_id(self._workflow, place.name),
                "name": place.name,
                "displayName": place.shown,
                "type": kind,
                "templateName": place.template,
                "phase": phase,
                "startedAt": self._now,
                "finishedAt": None,
            }
            if place.boundary:
                node["boundaryID"] = place.boundary
        return node

    def _end(self, node: Node, phase: str, message: str = "", outputs: Any = None) -> str:
        node |= {"phase": phase, "finishedAt": self._now}
        node |= ({"message": message} if message else {}) | ({"outputs": outputs} if outputs else {})
        return phase


def _failure_of(pod: Object) -> str:
    for container in _containers(pod):
        ended = container["state"].get("terminated") or {}
        if container["name"] == "main" and ended.get("exitCode"):
            return f"Error (exit code {ended['exitCode']})"
    return str(pod.get("status", {}).get("message") or "pod failed")


def _containers(pod: Object) -> Iterator[Mapping[str, Any]]:
    yield from pod.get("status", {}).get("containerStatuses", [])
