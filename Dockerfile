# Two stages: the first installs with pip, the second has neither pip's caches nor the sources.
# Every dependency comes as a wheel or is pure Python, so no compiler is needed.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY repo repo
COPY database database
COPY actor_store actor_store
COPY sequencer sequencer
COPY identity identity
COPY pds pds
RUN python -m venv /opt/holdfast \
    && /opt/holdfast/bin/pip install --no-cache-dir '.[replication]'

FROM python:3.13-slim
RUN useradd --uid 1000 --user-group --home-dir /pds --no-create-home --shell /usr/sbin/nologin holdfast \
    && install --directory --owner holdfast --group holdfast --mode 0750 /pds
COPY --from=build /opt/holdfast /opt/holdfast
ENV PATH=/opt/holdfast/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PDS_DATA_DIRECTORY=/pds \
    PDS_BLOBSTORE_DISK_LOCATION=/pds/blocks \
    PDS_PORT=3000
USER holdfast
WORKDIR /pds
VOLUME /pds
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=15m CMD ["python", "-c", \
    "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PDS_PORT']), timeout=4); c.request('GET', '/xrpc/_health'); sys.exit(c.getresponse().status != 200)"]
STOPSIGNAL SIGTERM
CMD ["pds", "serve"]
