-- Whole rows of nodes. A row that is newer already stays.
INSERT INTO node
SELECT * FROM json_populate_recordset(NULL::node, $1::json)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name,
    ready = excluded.ready,
    unschedulable = excluded.unschedulable,
    cpu_milli = excluded.cpu_milli,
    memory_bytes = excluded.memory_bytes,
    gpu_devices = excluded.gpu_devices,
    gpu_product = excluded.gpu_product,
    gpu_memory_bytes = excluded.gpu_memory_bytes,
    max_pods = excluded.max_pods,
    labels = excluded.labels,
    taints = excluded.taints,
    others = excluded.others,
    version = excluded.version
WHERE node.version < excluded.version
