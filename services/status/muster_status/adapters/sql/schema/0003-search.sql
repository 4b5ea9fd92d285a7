-- Search by any part of a name, where the extension is there; without it the same queries read the whole table.

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
    CREATE INDEX workload_by_part_of_name ON workload USING gin (name public.gin_trgm_ops);
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
        RAISE NOTICE 'pg_trgm is not available: %', SQLERRM;
END
$$;
