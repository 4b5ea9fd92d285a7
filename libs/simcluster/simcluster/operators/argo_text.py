"""The small languages of Argo's templates: names of nodes and pods, `{{parameters}}`, `when` and `depends`.

Only as much of each as pipelines use: comparisons and `&&`/`||`, without brackets. What cannot be resolved stays as it
is, and a condition that is not understood holds.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simcluster.pods import name_of
from simcluster.resources import Object

_REFERENCE = re.compile(r"\{\{\s*=?([\w.\-]+)\s*\}\}")
_COMPARISON = re.compile(r"^\s*(.*?)\s*(==|!=)\s*(.*?)\s*$")
_TASK = re.compile(r"(!?)\s*([\w-]+)(?:\.(\w+))?")
_STATES = {"Errored": ("Error",), "Daemoned": (), "": ("Succeeded", "Skipped")}
_DONE = ("Succeeded", "Failed", "Error", "Skipped", "Omitted")


def node_id(workflow: Object, name: str) -> str:
    """Return a node's id: the workflow's name, and below the root a hash of the node's name."""
    return name_of(workflow) if name == name_of(workflow) else f"{name_of(workflow)}-{fnv32(name)}"


def pod_name(workflow: Object, name: str, template: str) -> str:
    """Return the name of a node's pod, in the form Argo calls v2."""
    return name_of(workflow) if name == name_of(workflow) else f"{name_of(workflow)}-{template}-{fnv32(name)}"


def fnv32(text: str) -> int:
    """Return the 32-bit FNV-1a hash of a text."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) % 2**32
    return value


def resolve(text: str, scope: Mapping[str, str]) -> str:
    """Return a text with the references that are known replaced by what they mean."""
    return _REFERENCE.sub(lambda found: scope.get(found[1], found[0]), text)


def resolve_all(template: Mapping[str, Any], scope: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a template with references resolved in every text of it, names of fields among them."""
    resolved: Mapping[str, Any] = _walked(template, scope)
    return resolved


def _walked(value: Any, scope: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return resolve(value, scope)
    if isinstance(value, dict):
        return {resolve(key, scope): _walked(each, scope) for key, each in value.items()}
    return [_walked(each, scope) for each in value] if isinstance(value, list) else value


def settled(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the labels or annotations that are resolved; the others wait for what nobody put out."""
    return {key: value for key, value in texts.items() if not _REFERENCE.search(key + value)}


def with_defaults(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return the inputs given, with the defaults of those that are not."""
    wanted = (template.get("inputs") or {}).get("parameters") or ()
    defaults = {
        f"inputs.parameters.{each['name']}": str(each.get("value", each.get("default")))
        for each in wanted
        if "value" in each or "default" in each
    }
    return defaults | dict(given)


def arguments_of(part: Mapping[str, Any], scope: Mapping[str, str]) -> dict[str, str]:
    """Return what a task or step hands to its template."""
    given = (part.get("arguments") or {}).get("parameters") or ()
    return {f"inputs.parameters.{each['name']}": resolve(_text(each.get("value", "")), scope) for each in given}


def outputs_of_container(template: Mapping[str, Any], prefix: str) -> dict[str, Any] | None:
    """Return what a container puts out: by annotation, as a fixed value, or the default of what it would write."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    found = []
    for each in (template.get("outputs") or {}).get("parameters") or ():
        usual = each.get("value", (each.get("valueFrom") or {}).get("default"))
        value = annotations.get(prefix + each["name"], usual)
        if value is not None:
            found.append({"name": each["name"], "value": _text(value)})
    return {"parameters": found} if found else None


def outputs_of_parts(template: Mapping[str, Any], scope: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what a DAG or steps put out, from what their parts did."""
    wanted = (template.get("outputs") or {}).get("parameters") or ()
    texts = {each["name"]: (each.get("valueFrom") or {}).get("parameter", "") for each in wanted}
    found = [{"name": name, "value": resolve(text, scope)} for name, text in texts.items() if text]
    return {"parameters": found} if found else None


def holds(condition: str) -> bool:
    """Say whether a `when` holds; an empty one does."""
    return any(all(map(_compares, part.split("&&"))) for part in condition.split("||"))


def _compares(text: str) -> bool:
    found = _COMPARISON.match(text)
    if found is None:
        return text.strip().lower() != "false"
    left, right = (side.strip().strip("'\"") for side in (found[1], found[3]))
    return (left == right) == (found[2] == "==")


def names_in(task: Mapping[str, Any]) -> list[str]:
    """Return the tasks that a task depends on."""
    if "depends" in task:
        return [found[2] for found in _TASK.finditer(task["depends"])]
    return list(task.get("dependencies") or ())


def dependencies_met(task: Mapping[str, Any], outcomes: Mapping[str, str]) -> bool | None:
    """Say whether what a task depends on came out as it wants; None while that is open."""
    if any(outcomes[name] not in _DONE for name in names_in(task)):
        return None
    text = task.get("depends") or " && ".join(task.get("dependencies") or ())
    return not text or any(all(_came_out(each, outcomes) for each in part.split("&&")) for part in text.split("||"))


def answered(tasks: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the tasks on whose failure others depend."""
    every = [found for task in tasks for found in _TASK.finditer(task.get("depends", ""))]
    return {found[2] for found in every if found[3] in ("Failed", "Errored")}


def _came_out(text: str, outcomes: Mapping[str, str]) -> bool:
    found = _TASK.search(text)
    if found is None:
        return True
    wanted = _STATES.get(found[3] or "", (found[3],))
    return (outcomes[found[2]] in wanted) != bool(found[1])


def in_order(tasks: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield tasks after all they depend on; ValueError when they wait for each other or for nobody there is."""
    waiting, done = list(tasks), set[str]()
    while waiting:
        ready = [task for task in waiting if done.issuperset(names_in(task))]
        if not ready:
            raise ValueError(f"tasks that can never begin: {', '.join(str(task['name']) for task in waiting)}")
        yield from ready
        done |= {task["name"] for task in ready}
        waiting = [task for task in waiting if task["name"] not in done]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
