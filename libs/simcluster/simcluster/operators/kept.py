"""How operators keep an object of a built-in kind as they want it: a Deployment, a StatefulSet, a Service.

The API server completes what it stores, so that what was asked for cannot be found again in it; an annotation with a
digest says what was. Whatever others change in the object stays until the operator wants something else.
"""

import hashlib

import orjson

from simcluster.operators.operator import Operator
from simcluster.pods import name_of, namespace_of
from simcluster.resources import Object

_DIGEST = "sim.operator-digest"


def keep(operator: Operator, owner: Object, kind: str, wanted: Object) -> Object:
    """Return an object as an owner wants it: created, brought up to date, or as it is."""
    told = orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(told).hexdigest()[:16]
    metadata = wanted["metadata"]
    annotations = {**(metadata.get("annotations") or {}), _DIGEST: digest}
    found = operator.client.get(kind, namespace_of(owner), metadata["name"])
    if found is None:
        return operator.create(owner, kind, {**wanted, "metadata": {**metadata, "annotations": annotations}})
    if (found["metadata"].get("annotations") or {}).get(_DIGEST) == digest:
        return found
    labels = {**(found["metadata"].get("labels") or {}), **(metadata.get("labels") or {})}
    merged = {**(found["metadata"].get("annotations") or {}), **annotations}
    renewed = {**found["metadata"], "labels": labels, "annotations": merged}
    return operator.client.update(kind, {**found, **wanted, "metadata": renewed})


def keep_only(operator: Operator, owner: Object, kind: str, names: set[str]) -> None:
    """Delete what an owner owns of a kind and no longer wants."""
    for child in operator.owned(owner, kind):
        if name_of(child) not in names:
            operator.delete(owner, kind, child)
