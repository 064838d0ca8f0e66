-- Roles that may do only what they must, beside the owner of the tables. Once the owner has made
-- them (landmark migrate), as a superuser, in that database; again after a restore:
--   psql -d landmark -f include/sql/admin/roles.sql
-- Then give them passwords:  ALTER ROLE landmark_tasks LOGIN PASSWORD '…'
--   landmark_tasks   the DAGs' tasks and the pages
--   landmark_reader  Dask workers: they read features, and nothing else
DO $$
DECLARE
    owner text := (SELECT tableowner FROM pg_tables
                   WHERE schemaname = current_schema AND tablename = 'landmarks');
    role  text;
    name  text;
    types text := (SELECT nspname FROM pg_extension
                   JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector');
BEGIN
    IF owner IS NULL THEN
        RAISE EXCEPTION 'the tables are not there; run `landmark migrate` as their owner';
    END IF;
    FOREACH role IN ARRAY ARRAY['landmark_tasks', 'landmark_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
        EXECUTE format('GRANT USAGE ON SCHEMA %I, %I TO %I', current_schema, types, role);
    END LOOP;
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO %I',
                   current_database(), owner);
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema);
    -- What is on no table's account: nobody here makes large objects.
    REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea)
        FROM PUBLIC;
    -- A sweep compares the listing with the table in a temporary one.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO landmark_tasks', current_database());
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema
                AND starts_with(tablename, 'landmark') AND tablename <> 'landmark_migrations' LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO landmark_tasks', name);
    END LOOP;
    -- Tables of later migrations, too.
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I'
                   ' GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO landmark_tasks',
                   owner, current_schema);
END
$$;

GRANT SELECT ON landmark_migrations TO landmark_tasks;
GRANT SELECT ON landmarks TO landmark_reader;
