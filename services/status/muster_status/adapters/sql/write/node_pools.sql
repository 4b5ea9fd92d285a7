-- Whole rows of node pools. A row that is newer already stays.
INSERT INTO node_pool
SELECT * FROM json_populate_recordset(NULL::node_pool, $1::json)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name,
    label_key = excluded.label_key,
    label_value = excluded.label_value,
    gpu_placement = excluded.gpu_placement,
    cpu_placement = excluded.cpu_placement,
    removed_at = excluded.removed_at,
    version = excluded.version
WHERE node_pool.version < excluded.version
