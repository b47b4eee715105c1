# Two stages: the wheels are built where compilers are, the image runs without them.
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
    && /opt/holdfast/bin/pip install --no-cache-dir --no-compile .

FROM python:3.13-slim
RUN useradd --system --uid 1000 --home-dir /pds holdfast \
    && install --directory --owner holdfast /pds
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
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD \
    ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['PDS_PORT']}/xrpc/_health\", timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["pds", "serve"]
