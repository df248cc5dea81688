-- Run once, by Postgres's image, on an empty volume. The user is POSTGRES_USER.
CREATE DATABASE dagster;
CREATE DATABASE mlflow;
