-- Whole rows of projects. A row that is newer already stays.
INSERT INTO project
SELECT * FROM json_populate_recordset(NULL::project, $1::json)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name,
    namespace = excluded.namespace,
    department = excluded.department,
    quotas = excluded.quotas,
    node_pools = excluded.node_pools,
    airflow_unit = excluded.airflow_unit,
    preempt_minimum_seconds = excluded.preempt_minimum_seconds,
    reclaim_minimum_seconds = excluded.reclaim_minimum_seconds,
    created_at = excluded.created_at,
    removed_at = excluded.removed_at,
    version = excluded.version
WHERE project.version < excluded.version
