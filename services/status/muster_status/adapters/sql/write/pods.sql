-- Whole rows of pods. A row that is newer already stays.
INSERT INTO pod
SELECT * FROM json_populate_recordset(NULL::pod, $1::json)
ON CONFLICT (pod_id) DO UPDATE SET
    workload_id = excluded.workload_id,
    name = excluded.name,
    namespace = excluded.namespace,
    role = excluded.role,
    phase = excluded.phase,
    reason = excluded.reason,
    message = excluded.message,
    node = excluded.node,
    ready = excluded.ready,
    terminating = excluded.terminating,
    restarts = excluded.restarts,
    created_at = excluded.created_at,
    gone_at = excluded.gone_at,
    cpu_milli = excluded.cpu_milli,
    memory_bytes = excluded.memory_bytes,
    gpu_millionths = excluded.gpu_millionths,
    gpus = excluded.gpus,
    containers = excluded.containers,
    version = excluded.version
WHERE pod.version < excluded.version
