"""The embedded stack: Postgres with pgvector, S3, Airflow and Dask, all from pip, on 127.0.0.1.

    PYTHONPATH=include python -m stack up | down | status | env | demo

==============  ==========================================================
`servers`       one Postgres or S3 server for a test, in a `with` block
`postgres`      Postgres: its files, its databases
`s3`            S3: its command, its client
`net`           free ports, HTTP
`health`        whether a server is well
`state`         the folder that outlives `down`: secrets, ports, data, logs
`certificates`  what Dask's processes know each other by
`environment`   the environment of the stack's processes
`parts`         every process: command, what it needs, when it is ready
`supervisor`    supervisord: its configuration and its socket
`lifecycle`     up, down, status
`migrate`       Airflow's own tables
`scheduler`     Airflow's scheduler, after a killed one
`workers`       Dask's workers
`airflow_api`   trigger a run and wait for it
`demo`          `make demo`
==============  ==========================================================
"""
