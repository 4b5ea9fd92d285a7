"""What the fields of built-in kinds are: text, numbers, lists, maps.

A typed API server refuses a list where a map belongs while it decodes a body. Here objects stay plain maps, and this
table does as much for every field that the server, a controller or a kubelet reads, so that no request can store what
one of them would stumble over. Fields the table does not know are let through as they are. A null in place of a known
field is the same as its absence, and is taken away.

A name that ends in `!` must be there. Custom kinds have their metadata checked, nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from simcluster.clock import from_timestamp
from simcluster.errors import bad_request
from simcluster.quantities import parse_quantity
from simcluster.resources import Object, Resource


@dataclass(frozen=True)
class MapOf:
    """A map from text to one form."""

    form: Any


TEXT, WHOLE, TRUTH = "a string", "an integer", "a boolean"
QUANTITY, TIME, PORT = "a quantity", "a time", "an integer or a string"
PORTION = "a number that is not negative, or a percentage"
ANYTHING = "anything"
FIELDS = "a set of fields"
OPERATOR = "In, NotIn, Exists or DoesNotExist"
NODE_OPERATOR = "In, NotIn, Exists, DoesNotExist, Gt or Lt"

_LABELS = MapOf(TEXT)
_AMOUNTS = MapOf(QUANTITY)

_METADATA: Object = {
    "name": TEXT,
    "generateName": TEXT,
    "namespace": TEXT,
    "uid": TEXT,
    "resourceVersion": TEXT,
    "creationTimestamp": TIME,
    "labels": _LABELS,
    "annotations": _LABELS,
    "finalizers": [TEXT],
    "ownerReferences": [
        {
            "apiVersion": TEXT,
            "kind": TEXT,
            "name": TEXT,
            "uid": TEXT,
            "controller": TRUTH,
            "blockOwnerDeletion": TRUTH,
        }
    ],
    "managedFields": [
        {
            "manager!": TEXT,
            "operation!": TEXT,
            "apiVersion": TEXT,
            "time": TIME,
            "subresource": TEXT,
            "fieldsV1!": FIELDS,
        }
    ],
}
_SELECTOR: Object = {
    "matchLabels": _LABELS,
    "matchExpressions": [{"key!": TEXT, "operator!": OPERATOR, "values": [TEXT]}],
}
_NODE_REQUIREMENTS = [{"key!": TEXT, "operator!": NODE_OPERATOR, "values": [TEXT]}]
_CONDITIONS = [
    {"type!": TEXT, "status!": TEXT, "reason": TEXT, "message": TEXT, "lastTransitionTime": TIME},
]
_CONTAINER: Object = {
    "name": TEXT,
    "image": TEXT,
    "command": [TEXT],
    "args": [TEXT],
    "env": [{"name!": TEXT, "value": TEXT}],
    "ports": [{"name": TEXT, "containerPort!": WHOLE, "protocol": TEXT}],
    "resources": {"limits": _AMOUNTS, "requests": _AMOUNTS},
    "volumeMounts": [{"name": TEXT, "mountPath!": TEXT}],
    "imagePullPolicy": TEXT,
    "restartPolicy": TEXT,
}
_TOLERATIONS = [{"key": TEXT, "operator": TEXT, "value": TEXT, "effect": TEXT, "tolerationSeconds": WHOLE}]
_NODE_TERM: Object = {"matchExpressions": _NODE_REQUIREMENTS, "matchFields": _NODE_REQUIREMENTS}
_POD_SPEC: Object = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [{"name!": TEXT}],
    "nodeName": TEXT,
    "nodeSelector": _LABELS,
    "schedulerName": TEXT,
    "serviceAccountName": TEXT,
    "serviceAccount": TEXT,
    "restartPolicy": TEXT,
    "priorityClassName": TEXT,
    "priority": WHOLE,
    "preemptionPolicy": TEXT,
    "hostname": TEXT,
    "subdomain": TEXT,
    "hostNetwork": TRUTH,
    "terminationGracePeriodSeconds": WHOLE,
    "activeDeadlineSeconds": WHOLE,
    "tolerations": _TOLERATIONS,
    "schedulingGates": [{"name!": TEXT}],
    "readinessGates": [{"conditionType!": TEXT}],
    "imagePullSecrets": [{"name": TEXT}],
    "overhead": _AMOUNTS,
    "affinity": {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_NODE_TERM]}}
    },
    "securityContext": MapOf(ANYTHING),
}
_TEMPLATE: Object = {"metadata": _METADATA, "spec": _POD_SPEC}
_STATE: Object = {
    "waiting": {"reason": TEXT, "message": TEXT},
    "running": {"startedAt": TIME},
    "terminated": {"exitCode!": WHOLE, "reason": TEXT, "startedAt": TIME, "finishedAt": TIME, "signal": WHOLE},
}
_CONTAINER_STATUSES = [
    {
        "name!": TEXT,
        "ready": TRUTH,
        "started": TRUTH,
        "restartCount": WHOLE,
        "state": _STATE,
        "lastState": _STATE,
    }
]
_POD_STATUS: Object = {
    "phase": TEXT,
    "reason": TEXT,
    "message": TEXT,
    "podIP": TEXT,
    "hostIP": TEXT,
    "startTime": TIME,
    "nominatedNodeName": TEXT,
    "conditions": _CONDITIONS,
    "containerStatuses": _CONTAINER_STATUSES,
    "initContainerStatuses": _CONTAINER_STATUSES,
}
_REPLICATED: Object = {
    "replicas": WHOLE,
    "minReadySeconds": WHOLE,
    "revisionHistoryLimit": WHOLE,
    "selector": _SELECTOR,
    "template": _TEMPLATE,
}
_REPLICATED_STATUS: Object = {
    **dict.fromkeys(
        (
            "replicas",
            "readyReplicas",
            "availableReplicas",
            "updatedReplicas",
            "unavailableReplicas",
            "currentReplicas",
            "fullyLabeledReplicas",
            "observedGeneration",
            "collisionCount",
        ),
        WHOLE,
    ),
    "currentRevision": TEXT,
    "updateRevision": TEXT,
    "conditions": _CONDITIONS,
}
_FAILURE_RULE: Object = {
    "action!": TEXT,
    "onExitCodes": {"containerName": TEXT, "operator!": TEXT, "values!": [WHOLE]},
    "onPodConditions": [{"type!": TEXT, "status": TEXT}],
}
_JOB_SPEC: Object = {
    **dict.fromkeys(
        ("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds"), WHOLE
    ),
    "suspend": TRUTH,
    "manualSelector": TRUTH,
    "completionMode": TEXT,
    "podReplacementPolicy": TEXT,
    "managedBy": TEXT,
    "selector": _SELECTOR,
    "template": _TEMPLATE,
    "podFailurePolicy": {"rules": [_FAILURE_RULE]},
}
_JOB_STATUS: Object = {
    **dict.fromkeys(("active", "ready", "succeeded", "failed", "terminating"), WHOLE),
    "startTime": TIME,
    "completionTime": TIME,
    "completedIndexes": TEXT,
    "failedIndexes": TEXT,
    "conditions": _CONDITIONS,
}
_SCALE: Object = {"specReplicasPath!": TEXT, "statusReplicasPath!": TEXT, "labelSelectorPath": TEXT}
_DEFINITION_VERSION: Object = {
    "name!": TEXT,
    "served": TRUTH,
    "storage": TRUTH,
    "subresources": {"status": MapOf(ANYTHING), "scale": _SCALE},
    "schema": {"openAPIV3Schema": {"properties": MapOf(ANYTHING)}},
    "additionalPrinterColumns": [
        {"name!": TEXT, "type": TEXT, "jsonPath!": TEXT, "priority": WHOLE, "description": TEXT}
    ],
}

_WEBHOOK: Object = {
    "name!": TEXT,
    "clientConfig!": {
        "url": TEXT,
        "service": {"namespace!": TEXT, "name!": TEXT, "path": TEXT, "port": WHOLE},
        "caBundle": TEXT,
    },
    "rules": [
        {"operations!": [TEXT], "apiGroups!": [TEXT], "apiVersions!": [TEXT], "resources!": [TEXT], "scope": TEXT}
    ],
    "namespaceSelector": _SELECTOR,
    "objectSelector": _SELECTOR,
    "admissionReviewVersions!": [TEXT],
    "timeoutSeconds": WHOLE,
    "failurePolicy": TEXT,
    "matchPolicy": TEXT,
    "sideEffects": TEXT,
    "reinvocationPolicy": TEXT,
    "matchConditions": [MapOf(ANYTHING)],
}

_SPECS: dict[str, Object] = {
    "namespaces": {"spec": {"finalizers": [TEXT]}, "status": {"phase": TEXT, "conditions": _CONDITIONS}},
    "nodes": {
        "spec": {
            "unschedulable": TRUTH,
            "taints": [{"key!": TEXT, "value": TEXT, "effect!": TEXT, "timeAdded": TIME}],
        },
        "status": {
            "capacity": _AMOUNTS,
            "allocatable": _AMOUNTS,
            "conditions": _CONDITIONS,
            "addresses": [{"type!": TEXT, "address!": TEXT}],
            "nodeInfo": MapOf(ANYTHING),
        },
    },
    "pods": {"spec": _POD_SPEC, "status": _POD_STATUS},
    "services": {
        "spec": {
            "type": TEXT,
            "clusterIP": TEXT,
            "selector": _LABELS,
            "ports": [{"name": TEXT, "protocol": TEXT, "port!": WHOLE, "targetPort": PORT}],
        },
    },
    "configmaps": {"data": _LABELS, "binaryData": _LABELS},
    "secrets": {"data": _LABELS, "stringData": _LABELS, "type": TEXT},
    "events": {
        "involvedObject": {"kind": TEXT, "namespace": TEXT, "name": TEXT, "uid": TEXT},
        "reason": TEXT,
        "message": TEXT,
        "type": TEXT,
        "count": WHOLE,
        "firstTimestamp": TIME,
        "lastTimestamp": TIME,
        "eventTime": TIME,
        "source": {"component": TEXT},
    },
    "persistentvolumeclaims": {"spec": MapOf(ANYTHING), "status": {"phase": TEXT, "capacity": _AMOUNTS}},
    "deployments.apps": {
        "spec": {
            **_REPLICATED,
            "paused": TRUTH,
            "progressDeadlineSeconds": WHOLE,
            "strategy": {"type": TEXT, "rollingUpdate": {"maxSurge": PORTION, "maxUnavailable": PORTION}},
        },
        "status": _REPLICATED_STATUS,
    },
    "replicasets.apps": {"spec": _REPLICATED, "status": _REPLICATED_STATUS},
    "daemonsets.apps": {"spec": _REPLICATED, "status": MapOf(ANYTHING)},
    "statefulsets.apps": {
        "spec": {
            **_REPLICATED,
            "serviceName": TEXT,
            "podManagementPolicy": TEXT,
            "ordinals": {"start": WHOLE},
            "updateStrategy": {"type": TEXT, "rollingUpdate": {"partition": WHOLE, "maxUnavailable": PORTION}},
        },
        "status": _REPLICATED_STATUS,
    },
    "jobs.batch": {"spec": _JOB_SPEC, "status": _JOB_STATUS},
    "cronjobs.batch": {
        "spec": {
            "schedule": TEXT,
            "suspend": TRUTH,
            "concurrencyPolicy": TEXT,
            "jobTemplate": {"metadata": _METADATA, "spec": _JOB_SPEC},
        },
        "status": MapOf(ANYTHING),
    },
    "poddisruptionbudgets.policy": {
        "spec": {
            "minAvailable": PORTION,
            "maxUnavailable": PORTION,
            "selector": _SELECTOR,
            "unhealthyPodEvictionPolicy": TEXT,
        },
        "status": {
            **dict.fromkeys(
                ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods", "observedGeneration"), WHOLE
            ),
            "disruptedPods": MapOf(TIME),
            "conditions": _CONDITIONS,
        },
    },
    "priorityclasses.scheduling.k8s.io": {
        "value": WHOLE,
        "globalDefault": TRUTH,
        "preemptionPolicy": TEXT,
        "description": TEXT,
    },
    "customresourcedefinitions.apiextensions.k8s.io": {
        "spec": {
            "group": TEXT,
            "scope": TEXT,
            "names": {
                "plural": TEXT,
                "singular": TEXT,
                "kind": TEXT,
                "listKind": TEXT,
                "shortNames": [TEXT],
                "categories": [TEXT],
            },
            "versions": [_DEFINITION_VERSION],
        },
        "status": {"conditions": _CONDITIONS},
    },
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": {"webhooks": [_WEBHOOK]},
    "validatingwebhookconfigurations.admissionregistration.k8s.io": {"webhooks": [_WEBHOOK]},
}


def check(resource: Resource, body: Any) -> None:
    """Refuse (400) a body with a field that is not what it must be; take nulls away, in place."""
    if not isinstance(body, dict):
        raise bad_request(f"{resource.kind} must be an object, it is {_named(body)}")
    if not isinstance(body.get("metadata"), dict):
        raise bad_request(f"{resource.kind}: metadata must be an object, it is {_named(body.get('metadata'))}")
    form = {"apiVersion": TEXT, "kind": TEXT, "metadata": _METADATA}
    if not resource.custom:
        form |= _SPECS.get(resource.key, {})
    _check(body, form, resource.kind)


_SUBRESOURCES: dict[str, Object] = {
    "Binding": {"metadata": _METADATA, "target": {"kind": TEXT, "name": TEXT}},
    "Eviction": {"metadata": _METADATA, "deleteOptions": MapOf(ANYTHING)},
    "Scale": {"metadata": _METADATA, "spec": {"replicas": WHOLE}},
    "DeleteOptions": {
        "gracePeriodSeconds": WHOLE,
        "propagationPolicy": TEXT,
        "orphanDependents": TRUTH,
        "preconditions": {"uid": TEXT, "resourceVersion": TEXT},
        "dryRun": [TEXT],
    },
}


def check_message(kind: str, body: Any) -> None:
    """Refuse (400) a malformed body of a subresource or a deletion, named by its kind; take nulls away, in place."""
    if not isinstance(body, dict):
        raise bad_request(f"{kind} must be an object, it is {_named(body)}")
    _check(body, _SUBRESOURCES[kind], kind)


def _check(value: Any, form: Any, path: str) -> None:
    if isinstance(form, dict):
        _check_struct(value, form, path)
    elif isinstance(form, list):
        _check_list(value, form[0], path)
    elif isinstance(form, MapOf):
        _check_map(value, form.form, path)
    elif not _SCALARS[form](value):
        raise bad_request(f"{path} must be {form}, it is {_named(value)}")


def _check_struct(value: Any, form: Object, path: str) -> None:
    if not isinstance(value, dict):
        raise bad_request(f"{path} must be an object, it is {_named(value)}")
    for key, expected in form.items():
        name = key.removesuffix("!")
        found = value.get(name)
        if found is not None:
            _check(found, expected, f"{path}.{name}")
        elif key != name:
            raise bad_request(f"{path}.{name} is required")
        elif name in value:
            del value[name]


def _check_list(value: Any, form: Any, path: str) -> None:
    if not isinstance(value, list):
        raise bad_request(f"{path} must be a list, it is {_named(value)}")
    for index, item in enumerate(value):
        _check(item, form, f"{path}[{index}]")


def _check_map(value: Any, form: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise bad_request(f"{path} must be an object, it is {_named(value)}")
    if form is ANYTHING:
        return
    for name, item in value.items():
        _check(item, form, f"{path}.{name}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_quantity(value: Any) -> bool:
    try:
        return not isinstance(value, bool | list | dict) and parse_quantity(value).is_finite()
    except ValueError:
        return False


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(from_timestamp(value))
    except ValueError:
        return False


def _is_fields(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_element(name) and _is_fields(below) for name, below in value.items())


def _is_element(text: str) -> bool:
    if not text.startswith(("k:", "v:")):
        return text == "." or text.startswith("f:")
    try:
        element = orjson.loads(text[2:])
    except orjson.JSONDecodeError:
        return False
    return text.startswith("v:") or (isinstance(element, dict) and bool(element))


def _is_portion(value: Any) -> bool:
    if isinstance(value, str):
        return value.endswith("%") and value[:-1].isdecimal()
    return _is_whole(value) and value >= 0


_SCALARS: dict[str, Callable[[Any], bool]] = {
    TEXT: lambda value: isinstance(value, str),
    WHOLE: _is_whole,
    TRUTH: lambda value: isinstance(value, bool),
    QUANTITY: _is_quantity,
    TIME: _is_time,
    PORT: lambda value: isinstance(value, str) or _is_whole(value),
    FIELDS: _is_fields,
    OPERATOR: lambda value: value in ("In", "NotIn", "Exists", "DoesNotExist"),
    NODE_OPERATOR: lambda value: value in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
    PORTION: _is_portion,
    ANYTHING: lambda _value: True,
}


def _named(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    return "null" if value is None else repr(value)[:80]
