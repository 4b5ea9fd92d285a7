-- The read models. Every row is worked out from the journal; `position` says up to where.

CREATE TABLE position (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL,
    origin uuid -- the id of the journal's first event: rows of another journal are worth nothing
);
INSERT INTO position (position) VALUES (0);

CREATE TABLE workload (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    project text NOT NULL,
    namespace text NOT NULL,
    kind text NOT NULL,
    workload_class text NOT NULL,
    workload_kind text,
    phase text NOT NULL,
    phase_reason text NOT NULL,
    phase_since timestamptz NOT NULL,
    message text NOT NULL,
    submitted_by text NOT NULL,
    source text NOT NULL,
    created_at timestamptz NOT NULL,
    completed_at timestamptz,
    deleted_at timestamptz,
    end_seen boolean NOT NULL,
    running_pods bigint NOT NULL,
    desired_pods bigint NOT NULL,
    requested_cpu_milli bigint NOT NULL,
    requested_memory_bytes bigint NOT NULL,
    requested_gpu_millionths bigint NOT NULL,
    requested_gpu_memory_bytes bigint NOT NULL,
    allocated_cpu_milli bigint NOT NULL,
    allocated_memory_bytes bigint NOT NULL,
    allocated_gpu_millionths bigint NOT NULL,
    nodes text[] NOT NULL,
    priority_class text NOT NULL,
    can_stop boolean NOT NULL,
    can_activate boolean NOT NULL,
    can_delete boolean NOT NULL,
    parent jsonb,
    attributes jsonb NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE pod (
    pod_id uuid PRIMARY KEY,
    workload_id uuid NOT NULL,
    name text NOT NULL,
    namespace text NOT NULL,
    role text NOT NULL,
    phase text NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    node text NOT NULL,
    ready boolean NOT NULL,
    terminating boolean NOT NULL,
    restarts bigint NOT NULL,
    created_at timestamptz NOT NULL,
    gone_at timestamptz,
    cpu_milli bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    gpu_millionths bigint NOT NULL,
    gpus text NOT NULL,
    containers jsonb NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE history (
    position bigint PRIMARY KEY,
    workload_id uuid NOT NULL,
    project text NOT NULL,
    "time" timestamptz NOT NULL,
    type text NOT NULL,
    previous text,
    current text,
    reason text NOT NULL,
    cause bigint
);

CREATE TABLE project (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    namespace text NOT NULL,
    department text NOT NULL,
    quotas jsonb NOT NULL,
    node_pools text[] NOT NULL,
    airflow_unit text NOT NULL,
    preempt_minimum_seconds bigint NOT NULL,
    reclaim_minimum_seconds bigint NOT NULL,
    created_at timestamptz NOT NULL,
    removed_at timestamptz,
    version bigint NOT NULL
);

CREATE TABLE node (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    ready boolean NOT NULL,
    unschedulable boolean NOT NULL,
    cpu_milli bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    gpu_devices bigint NOT NULL,
    gpu_product text NOT NULL,
    gpu_memory_bytes bigint NOT NULL,
    max_pods bigint NOT NULL,
    labels jsonb NOT NULL,
    taints jsonb NOT NULL,
    others jsonb NOT NULL,
    version bigint NOT NULL
);
