-- The projects there are, or the one of a name, with the number of workloads that exist in each.
SELECT project.*, coalesce(counted.workloads, 0) AS workloads
FROM project
LEFT JOIN (
    SELECT project, count(*) AS workloads FROM workload WHERE deleted_at IS NULL GROUP BY project
) AS counted ON counted.project = project.name
WHERE removed_at IS NULL AND ($1::text IS NULL OR name = $1)
ORDER BY name
