-- Departments and node pools; one that was removed stays, with `removed_at`.

CREATE TABLE department (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    parent text NOT NULL,
    quotas jsonb NOT NULL,
    preempt_minimum_seconds bigint NOT NULL,
    reclaim_minimum_seconds bigint NOT NULL,
    removed_at timestamptz,
    version bigint NOT NULL
);

CREATE TABLE node_pool (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    label_key text NOT NULL,
    label_value text NOT NULL,
    gpu_placement text NOT NULL,
    cpu_placement text NOT NULL,
    removed_at timestamptz,
    version bigint NOT NULL
);
