-- Pods that are gone.
UPDATE pod SET
    gone_at = new.gone_at,
    version = new.version
FROM json_populate_recordset(NULL::pod, $1::json) AS new
WHERE pod.pod_id = new.pod_id AND pod.version < new.version
