-- Whole rows of departments. A row that is newer already stays.
INSERT INTO department
SELECT * FROM json_populate_recordset(NULL::department, $1::json)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name,
    parent = excluded.parent,
    quotas = excluded.quotas,
    preempt_minimum_seconds = excluded.preempt_minimum_seconds,
    reclaim_minimum_seconds = excluded.reclaim_minimum_seconds,
    removed_at = excluded.removed_at,
    version = excluded.version
WHERE department.version < excluded.version
