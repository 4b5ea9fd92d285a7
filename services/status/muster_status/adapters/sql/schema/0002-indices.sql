-- What lists ask for: those that exist, newest first, of all or of one project or phase; and one by its name.

CREATE INDEX workload_by_age ON workload (created_at DESC, id) WHERE deleted_at IS NULL;
CREATE INDEX workload_by_project ON workload (project, created_at DESC, id) WHERE deleted_at IS NULL;
CREATE INDEX workload_by_phase ON workload (phase, created_at DESC, id) WHERE deleted_at IS NULL;
CREATE INDEX workload_by_name ON workload (name, id);
CREATE INDEX workload_deleted ON workload (deleted_at DESC, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX workload_deleted_by_age ON workload (created_at DESC, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX workload_by_version ON workload (version);

CREATE INDEX pod_by_workload ON pod (workload_id, name);
CREATE INDEX pod_by_node ON pod (node) WHERE gone_at IS NULL;

CREATE INDEX history_by_workload ON history (workload_id, position);

CREATE INDEX project_by_name ON project (name);
