-- name: has_role
-- Whether the cluster has a role of this name.
select exists (select from pg_roles where rolname = %(role)s);

-- name: create_role
-- A role that people and programs are made members of; nobody logs in as it.
create role {role} nologin;

-- name: grant_reading
-- Let it search, and see the state of documents.
select rag_grant_reading(%(role)s);

-- name: grant_working
-- Let it ingest.
select rag_grant_working(%(role)s);

-- name: grant_membership
-- Have this account go on with what it makes and changes here.
grant {role} to {account};

-- name: grant_creating
-- Let it make what is ours.
grant usage, create on schema {schema} to {role};

-- name: grant_owning
-- Give it all that is ours.
select rag_grant_owning(%(role)s);

-- name: get_account
-- Who we are, and where our tables are.
select current_user, current_schema();

-- name: grant_source
-- Let it read the application's table.
grant select on {table} to {role};

-- name: grant_schema
-- Let it find what lies in a schema.
grant usage on schema {schema} to {role};

-- name: grant_dagster
-- Let it keep what Dagster does.
grant usage on schema {schema} to {role};
grant select, insert, update, delete on all tables in schema {schema} to {role};
grant usage, select, update on all sequences in schema {schema} to {role};

-- name: may_migrate
-- Whether our tables are this role's, or those of a role that it belongs to.
select pg_has_role(relowner, 'usage') from pg_class where oid = 'rag_migrations'::regclass;
