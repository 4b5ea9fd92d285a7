-- The nodes, with what pods of workloads hold of each.
SELECT
    node.*,
    coalesce(held.pods, 0) AS allocated_pods,
    coalesce(held.cpu_milli, 0)::bigint AS allocated_cpu_milli,
    coalesce(held.memory_bytes, 0)::bigint AS allocated_memory_bytes,
    coalesce(held.gpu_millionths, 0)::bigint AS allocated_gpu_millionths
FROM node
LEFT JOIN (
    SELECT
        node,
        count(*) AS pods,
        sum(cpu_milli) AS cpu_milli,
        sum(memory_bytes) AS memory_bytes,
        sum(gpu_millionths) AS gpu_millionths
    FROM pod
    WHERE gone_at IS NULL AND node <> '' AND phase NOT IN ('Succeeded', 'Failed')
    GROUP BY node
) AS held ON held.node = node.name
ORDER BY node.name
