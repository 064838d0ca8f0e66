# Airflow, Dask and the S3 server of docker-compose.yaml: one image, the same pins as .venv.
FROM python:3.12.11-slim-bookworm

RUN useradd --uid 50000 --create-home landmark \
    && mkdir -p /data/airflow/logs /data/dask /data/s3/landmark \
    && chown -R landmark:landmark /data

WORKDIR /opt/landmark
COPY requirements.txt requirements-kubernetes.txt requirements-uv.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements-uv.txt \
    && uv pip install --system --no-cache --compile-bytecode --require-hashes \
        -r requirements.txt -r requirements-kubernetes.txt

COPY dags dags
COPY plugins plugins
COPY include include

ENV AIRFLOW_HOME=/data/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/landmark/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/landmark/plugins \
    LANDMARK_MODEL=/opt/landmark/include/models/landmark-v1 \
    PYTHONPATH=/opt/landmark/plugins:/opt/landmark/include \
    PYTHONUNBUFFERED=1

USER landmark
