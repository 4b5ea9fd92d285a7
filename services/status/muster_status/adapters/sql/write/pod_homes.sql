-- Pods that belong to another workload than it seemed.
UPDATE pod SET
    workload_id = new.workload_id,
    version = new.version
FROM json_populate_recordset(NULL::pod, $1::json) AS new
WHERE pod.pod_id = new.pod_id AND pod.version < new.version
