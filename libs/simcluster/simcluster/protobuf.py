"""The little protobuf that `kubectl` insists on: bodies of its typed commands, and an OpenAPI document it can parse.

Newer `kubectl create`, `drain` and `auth` send protobuf and nothing else. The messages of those commands are described
by one table, with the field numbers of Kubernetes' published `generated.proto` files. A field the table does not know
is refused with 415: an object must never lose a field on its way in without a word.
"""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from simcluster.clock import to_timestamp
from simcluster.errors import bad_request, unsupported_media_type
from simcluster.resources import Object

_MAGIC = b"k8s\x00"

# Message → field number → name and type. Types: a scalar, `*message` or `*scalar` for lists, `map:` and a scalar, `-`
# for what a request need not carry. `int?` and `bool?` are no pointers in Go: zero means "not set".
_METADATA = {1: ("metadata", "ObjectMeta")}
_MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    "ObjectMeta": {
        1: ("name", "string"),
        2: ("generateName", "string"),
        3: ("namespace", "string"),
        4: ("selfLink", "-"),
        5: ("uid", "string"),
        6: ("resourceVersion", "string"),
        7: ("generation", "-"),
        8: ("creationTimestamp", "-"),
        9: ("deletionTimestamp", "time"),
        10: ("deletionGracePeriodSeconds", "int"),
        11: ("labels", "map:string"),
        12: ("annotations", "map:string"),
        13: ("ownerReferences", "*OwnerReference"),
        14: ("finalizers", "*string"),
        17: ("managedFields", "-"),
    },
    "OwnerReference": {
        1: ("kind", "string"),
        3: ("name", "string"),
        4: ("uid", "string"),
        5: ("apiVersion", "string"),
        6: ("controller", "bool"),
        7: ("blockOwnerDeletion", "bool"),
    },
    "Namespace": _METADATA | {2: ("spec", "-"), 3: ("status", "-")},
    "ConfigMap": _METADATA | {2: ("data", "map:string"), 3: ("binaryData", "map:bytes"), 4: ("immutable", "bool")},
    "Secret": _METADATA
    | {
        2: ("data", "map:bytes"),
        3: ("type", "string"),
        4: ("stringData", "map:string"),
        5: ("immutable", "bool"),
    },
    "ServiceAccount": _METADATA | {4: ("automountServiceAccountToken", "bool")},
    "Service": _METADATA | {2: ("spec", "ServiceSpec"), 3: ("status", "-")},
    "ServiceSpec": {
        1: ("ports", "*ServicePort"),
        2: ("selector", "map:string"),
        3: ("clusterIP", "string"),
        4: ("type", "string"),
        7: ("sessionAffinity", "string"),
        8: ("loadBalancerIP", "string"),
        10: ("externalName", "string"),
        11: ("externalTrafficPolicy", "string"),
        12: ("healthCheckNodePort", "int?"),
        13: ("publishNotReadyAddresses", "bool?"),
    },
    "ServicePort": {
        1: ("name", "string"),
        2: ("protocol", "string"),
        3: ("port", "int"),
        4: ("targetPort", "int-or-string"),
        5: ("nodePort", "int?"),
        6: ("appProtocol", "string"),
    },
    "ResourceQuota": _METADATA | {2: ("spec", "ResourceQuotaSpec"), 3: ("status", "-")},
    "ResourceQuotaSpec": {1: ("hard", "map:quantity"), 2: ("scopes", "*string")},
    "Deployment": _METADATA | {2: ("spec", "DeploymentSpec"), 3: ("status", "-")},
    "DeploymentSpec": {
        1: ("replicas", "int"),
        2: ("selector", "LabelSelector"),
        3: ("template", "PodTemplateSpec"),
        4: ("strategy", "DeploymentStrategy"),
        5: ("minReadySeconds", "int?"),
        6: ("revisionHistoryLimit", "int"),
        7: ("paused", "bool?"),
        9: ("progressDeadlineSeconds", "int"),
    },
    "DeploymentStrategy": {1: ("type", "string")},
    "LabelSelector": {1: ("matchLabels", "map:string"), 2: ("matchExpressions", "*LabelSelectorRequirement")},
    "LabelSelectorRequirement": {1: ("key", "string"), 2: ("operator", "string"), 3: ("values", "*string")},
    "PodTemplateSpec": _METADATA | {2: ("spec", "PodSpec")},
    "PodSpec": {
        2: ("containers", "*Container"),
        3: ("restartPolicy", "string"),
        4: ("terminationGracePeriodSeconds", "int"),
        5: ("activeDeadlineSeconds", "int"),
        6: ("dnsPolicy", "string"),
        7: ("nodeSelector", "map:string"),
        8: ("serviceAccountName", "string"),
        9: ("serviceAccount", "string"),
        10: ("nodeName", "string"),
        11: ("hostNetwork", "bool?"),
        12: ("hostPID", "bool?"),
        13: ("hostIPC", "bool?"),
        14: ("securityContext", "Empty"),
        16: ("hostname", "string"),
        17: ("subdomain", "string"),
        19: ("schedulerName", "string"),
        20: ("initContainers", "*Container"),
        22: ("tolerations", "*Toleration"),
        24: ("priorityClassName", "string"),
        25: ("priority", "int"),
    },
    "Empty": {},
    "Toleration": {
        1: ("key", "string"),
        2: ("operator", "string"),
        3: ("value", "string"),
        4: ("effect", "string"),
        5: ("tolerationSeconds", "int"),
    },
    "Container": {
        1: ("name", "string"),
        2: ("image", "string"),
        3: ("command", "*string"),
        4: ("args", "*string"),
        5: ("workingDir", "string"),
        6: ("ports", "*ContainerPort"),
        7: ("env", "*EnvVar"),
        8: ("resources", "ResourceRequirements"),
        13: ("terminationMessagePath", "string"),
        14: ("imagePullPolicy", "string"),
        16: ("stdin", "bool?"),
        17: ("stdinOnce", "bool?"),
        18: ("tty", "bool?"),
        20: ("terminationMessagePolicy", "string"),
    },
    "ContainerPort": {
        1: ("name", "string"),
        2: ("hostPort", "int?"),
        3: ("containerPort", "int"),
        4: ("protocol", "string"),
        5: ("hostIP", "string"),
    },
    "EnvVar": {1: ("name", "string"), 2: ("value", "string")},
    "ResourceRequirements": {1: ("limits", "map:quantity"), 2: ("requests", "map:quantity")},
    "Job": _METADATA | {2: ("spec", "JobSpec"), 3: ("status", "-")},
    "JobSpec": {
        1: ("parallelism", "int"),
        2: ("completions", "int"),
        3: ("activeDeadlineSeconds", "int"),
        4: ("selector", "LabelSelector"),
        5: ("manualSelector", "bool"),
        6: ("template", "PodTemplateSpec"),
        7: ("backoffLimit", "int"),
        8: ("ttlSecondsAfterFinished", "int"),
        9: ("completionMode", "string"),
        10: ("suspend", "bool"),
    },
    "CronJob": _METADATA | {2: ("spec", "CronJobSpec"), 3: ("status", "-")},
    "CronJobSpec": {
        1: ("schedule", "string"),
        2: ("startingDeadlineSeconds", "int"),
        3: ("concurrencyPolicy", "string"),
        4: ("suspend", "bool"),
        5: ("jobTemplate", "JobTemplateSpec"),
        6: ("successfulJobsHistoryLimit", "int"),
        7: ("failedJobsHistoryLimit", "int"),
        8: ("timeZone", "string"),
    },
    "JobTemplateSpec": _METADATA | {2: ("spec", "JobSpec")},
    "PodDisruptionBudget": _METADATA | {2: ("spec", "PodDisruptionBudgetSpec"), 3: ("status", "-")},
    "PodDisruptionBudgetSpec": {
        1: ("minAvailable", "int-or-string"),
        2: ("selector", "LabelSelector"),
        3: ("maxUnavailable", "int-or-string"),
        4: ("unhealthyPodEvictionPolicy", "string"),
    },
    "PriorityClass": _METADATA
    | {
        2: ("value", "int"),
        3: ("globalDefault", "bool?"),
        4: ("description", "string"),
        5: ("preemptionPolicy", "string"),
    },
    "Eviction": _METADATA | {2: ("deleteOptions", "DeleteOptions")},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int"),
        2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "bool"),
        4: ("propagationPolicy", "string"),
        5: ("dryRun", "*string"),
    },
    "Preconditions": {1: ("uid", "string"), 2: ("resourceVersion", "string")},
    "SelfSubjectAccessReview": _METADATA | {2: ("spec", "AccessReviewSpec"), 3: ("status", "-")},
    "AccessReviewSpec": {1: ("resourceAttributes", "ResourceAttributes"), 2: ("nonResourceAttributes", "Path")},
    "ResourceAttributes": {
        1: ("namespace", "string"),
        2: ("verb", "string"),
        3: ("group", "string"),
        4: ("version", "string"),
        5: ("resource", "string"),
        6: ("subresource", "string"),
        7: ("name", "string"),
    },
    "Path": {1: ("path", "string"), 2: ("verb", "string")},
    "SelfSubjectReview": _METADATA | {2: ("status", "-")},
    "SelfSubjectRulesReview": _METADATA | {2: ("spec", "RulesReviewSpec"), 3: ("status", "-")},
    "RulesReviewSpec": {1: ("namespace", "string")},
}

# The smallest OpenAPI v2 document: version of the form, then title and version of what it describes.
OPENAPI_DOCUMENT = b"\x0a\x032.0\x12\x0f\x0a\x0asimcluster\x12\x011"


def decode(data: bytes) -> Object:
    """Return the object of a protobuf body; 415 when a message or field of it is not in the table."""
    if not data.startswith(_MAGIC):
        raise bad_request("the body is not a Kubernetes protobuf message")
    try:
        return _decode_envelope(data[len(_MAGIC) :])
    except (IndexError, UnicodeDecodeError) as error:
        raise bad_request(f"the body is cut short or garbled: {error}") from None


def _decode_envelope(data: bytes) -> Object:
    api_version, kind, raw = "", "", b""
    for number, value in _fields(data):
        if number == 1:
            named = dict(_fields(_as_bytes(value)))
            api_version, kind = _as_bytes(named.get(1, b"")).decode(), _as_bytes(named.get(2, b"")).decode()
        elif number == 2:
            raw = _as_bytes(value)
    if kind not in _MESSAGES:
        raise unsupported_media_type(f"the server takes no {kind} as protobuf; send JSON")
    return {"apiVersion": api_version, "kind": kind} | _message(kind, raw)


def _message(kind: str, data: bytes) -> Object:
    fields = _MESSAGES[kind]
    body: Object = {}
    for number, value in _fields(data):
        if number not in fields:
            raise unsupported_media_type(f"the server does not take field {number} of {kind} as protobuf; send JSON")
        name, form = fields[number]
        if form.startswith("*"):
            body.setdefault(name, []).append(_value(form[1:], value))
        elif form.startswith("map:"):
            key, item = _entry(form[4:], _as_bytes(value))
            body.setdefault(name, {})[key] = item
        elif (single := _value(form, value)) is not None:
            body[name] = single
    return body


def _entry(form: str, data: bytes) -> tuple[str, Any]:
    parts = dict(_fields(data))
    item = _value(form, parts.get(2, b""))
    return _as_bytes(parts.get(1, b"")).decode(), "" if item is None else item


def _value(form: str, value: int | bytes) -> Any:
    """Return a field's value, None when it stands for "not set"."""
    match form:
        case "-":
            return None
        case "string":
            return _as_bytes(value).decode() or None
        case "int" | "int?":
            number = _signed(value)
            return number if number or form == "int" else None
        case "bool" | "bool?":
            return bool(value) if value or form == "bool" else None
        case _:
            return _composed(form, _as_bytes(value))


def _composed(form: str, data: bytes) -> Any:
    parts = dict(_fields(data)) if form in ("quantity", "time", "int-or-string") else {}
    match form:
        case "bytes":
            return base64.b64encode(data).decode()
        case "quantity":
            return _as_bytes(parts.get(1, b"")).decode()
        case "time":
            return to_timestamp(datetime.fromtimestamp(_signed(parts.get(1, 0)), UTC))
        case "int-or-string":
            return _as_bytes(parts.get(3, b"")).decode() if parts.get(1) else _signed(parts.get(2, 0))
    return _message(form, data) or None


def _as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise bad_request("the body is garbled: a number where a text belongs")
    return value


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise bad_request("the body is garbled: a text where a number belongs")
    return value - (1 << 64) if value >= 1 << 63 else value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield a message's fields: number, and an integer or the bytes of what has a length."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, position = _varint(data, position)
            yield number, value
        elif wire_type == 2:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise IndexError("a field ends behind its message")
            yield number, data[position : position + length]
            position += length
        else:
            raise bad_request(f"the body is garbled: wire type {wire_type}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position
