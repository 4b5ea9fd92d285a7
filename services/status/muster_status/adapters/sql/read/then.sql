-- The tables as they were at a position: the rows of then that are told, and of workloads those unchanged since.
WITH told AS (
    SELECT * FROM json_populate_recordset(NULL::muster.workload, ${workload}::json)
), workload AS (
    SELECT * FROM told
    UNION ALL
    SELECT * FROM muster.workload AS now
    WHERE version <= ${position}::bigint AND NOT EXISTS (SELECT FROM told WHERE told.id = now.id)
), pod AS (
    SELECT * FROM json_populate_recordset(NULL::muster.pod, ${pod}::json)
), history AS (
    SELECT * FROM json_populate_recordset(NULL::muster.history, ${history}::json)
)
