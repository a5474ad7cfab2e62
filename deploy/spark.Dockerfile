# The project with Spark in it, for LAKE_GATEWAY=spark.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless procps \
    && rm -rf /var/lib/apt/lists/*
ENV PYTHONUNBUFFERED=1 LAKE_HOME=/data LAKE_GATEWAY=spark
WORKDIR /lakemesh
COPY requirements.lock requirements-portal.lock requirements-spark.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock \
    && pip install --no-cache-dir --require-hashes -r requirements-portal.lock \
    && pip install --no-cache-dir --require-hashes -r requirements-spark.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e . \
    && useradd --create-home lake \
    && mkdir -m 0700 /data \
    && chown -R lake /data /lakemesh
USER lake
CMD ["lake", "run"]
