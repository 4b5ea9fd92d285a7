-- The phases of workloads that are gone; the rest of their rows stays.
UPDATE workload SET
    phase = new.phase,
    phase_reason = new.phase_reason,
    phase_since = new.phase_since,
    completed_at = new.completed_at,
    version = new.version
FROM json_populate_recordset(NULL::workload, $1::json) AS new
WHERE workload.id = new.id AND workload.version < new.version
