"""What the fields of built-in kinds are: text, numbers, lists, maps. `structure` holds bodies to it.

The tables have every field that the server, a controller or a kubelet reads, so that no request can store what one of
them would stumble over. A name that ends in `!` must be there.
"""

from dataclasses import dataclass
from typing import Any

from simcluster.resources import Object


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

METADATA: Object = {
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
_TEMPLATE: Object = {"metadata": METADATA, "spec": _POD_SPEC}
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

SPECS: dict[str, Object] = {
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
            "jobTemplate": {"metadata": METADATA, "spec": _JOB_SPEC},
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

SUBRESOURCES: dict[str, Object] = {
    "Binding": {"metadata": METADATA, "target": {"kind": TEXT, "name": TEXT}},
    "Eviction": {"metadata": METADATA, "deleteOptions": MapOf(ANYTHING)},
    "Scale": {"metadata": METADATA, "spec": {"replicas": WHOLE}},
    "DeleteOptions": {
        "gracePeriodSeconds": WHOLE,
        "propagationPolicy": TEXT,
        "orphanDependents": TRUTH,
        "preconditions": {"uid": TEXT, "resourceVersion": TEXT},
        "dryRun": [TEXT],
    },
}
