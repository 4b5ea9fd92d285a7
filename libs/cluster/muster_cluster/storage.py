"""The objects of storage that services look at, as `objects` has all others: claims, volumes, and where volumes may be.

`volumes` says which volume suits which claim.
"""

from typing import Final

import msgspec

from muster_cluster.metadata import Metadata, Partial
from muster_cluster.objects import Raw, Resources
from muster_cluster.port import Resource
from muster_cluster.quantities import Quantity


class ClaimSpec(Partial, frozen=True, gc=False):
    """What a claim asks for; `volume_name` is what it was given."""

    storage_class_name: str = ""
    volume_name: str = ""
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    resources: Resources = Resources()
    selector: Raw | None = None


class PersistentVolumeClaim(Partial, frozen=True, gc=False):
    """A pod's claim to a volume."""

    metadata: Metadata = Metadata()
    spec: ClaimSpec = ClaimSpec()


class VolumeReach(Partial, frozen=True, gc=False):
    """From which nodes a volume can be used, as it is written."""

    required: Raw | None = None


class ClaimReference(Partial, frozen=True, gc=False):
    """Whose a volume is."""

    namespace: str = ""
    name: str = ""


class PersistentVolumeSpec(Partial, frozen=True, gc=False):
    """Of a volume what it is, where it can be used, and whose it is."""

    storage_class_name: str = ""
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    capacity: dict[str, Quantity] = msgspec.field(default_factory=dict)
    node_affinity: VolumeReach | None = None
    claim_ref: ClaimReference | None = None


class PersistentVolumeStatus(Partial, frozen=True, gc=False):
    """How a volume stands: Available while it is nobody's."""

    phase: str = ""


class PersistentVolume(Partial, frozen=True, gc=False):
    """A volume."""

    metadata: Metadata = Metadata()
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()


class StorageClass(Partial, frozen=True, gc=False):
    """How volumes of a class are made: at once, or for their first consumer; and on which nodes."""

    metadata: Metadata = Metadata()
    provisioner: str = ""
    volume_binding_mode: str = "Immediate"
    allowed_topologies: tuple[Raw, ...] = ()


class StorageDriverSpec(Partial, frozen=True, gc=False):
    """What a driver says of itself; `storage_capacity` when it publishes how much room it has, and where."""

    storage_capacity: bool = False


class StorageDriver(Partial, frozen=True, gc=False):
    """A CSIDriver; its name is what storage classes call their provisioner."""

    metadata: Metadata = Metadata()
    spec: StorageDriverSpec = StorageDriverSpec()


class StorageCapacity(Partial, frozen=True, gc=False):
    """How much room there is for volumes of a class on the nodes that `node_topology` selects; without one, on none."""

    metadata: Metadata = Metadata()
    storage_class_name: str = ""
    node_topology: Raw | None = None
    capacity: Quantity | None = None
    maximum_volume_size: Quantity | None = None


CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", PersistentVolumeClaim)
VOLUMES: Final = Resource("", "v1", "persistentvolumes", "PersistentVolume", PersistentVolume, namespaced=False)
STORAGE_CLASSES: Final = Resource(
    "storage.k8s.io", "v1", "storageclasses", "StorageClass", StorageClass, namespaced=False
)
STORAGE_DRIVERS: Final = Resource("storage.k8s.io", "v1", "csidrivers", "CSIDriver", StorageDriver, namespaced=False)
STORAGE_CAPACITIES: Final = Resource(
    "storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", StorageCapacity
)
