#!/bin/sh
# Run once by the Postgres image, on an empty volume: a database and an owner for each of the two.
set -eu
psql --username "$POSTGRES_USER" --dbname postgres -v ON_ERROR_STOP=1 \
    -v airflow_password="$AIRFLOW_DB_PASSWORD" -v landmark_password="$LANDMARK_DB_PASSWORD" <<'SQL'
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE DATABASE airflow OWNER airflow;
CREATE ROLE landmark LOGIN PASSWORD :'landmark_password';
CREATE DATABASE landmark OWNER landmark;
\connect landmark
CREATE EXTENSION vector;
SQL
