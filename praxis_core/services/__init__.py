"""The embedded default of every service: Postgres, Valkey, Prefect server and worker."""
