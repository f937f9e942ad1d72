# Without torch: preflight, data, launcher, curation, evaluation, report.
# Base: any image with Python 3.11 or 3.12 and its venv module; the same one is built and run on.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${BASE_IMAGE} AS dependencies
WORKDIR /build
COPY docker/build-requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/tools \
    && python3 -m venv /opt/daftt \
    && /opt/tools/bin/pip install --require-hashes --no-deps -r build-requirements.txt

# What others wrote changes seldom and comes first.
COPY docker/core-requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/daftt/bin/pip install --no-compile --require-hashes --no-deps -r core-requirements.txt

COPY docker/slim.py ./
RUN /opt/daftt/bin/pip uninstall --yes setuptools \
    && /opt/daftt/bin/python slim.py click datasets docker evaluate jinja2 kfp.compiler \
      kfp.dsl.executor_main kubernetes matplotlib.pyplot pip._internal.cli.main pydantic rich.console \
      rouge_score.rouge_scorer sacrebleu scipy.stats sklearn.metrics yaml

FROM dependencies AS own
COPY LICENSE NOTICE README.md pyproject.toml ./
COPY daftt_core daftt_core
COPY components components
COPY pipelines pipelines
# Installed beside the rest, so that a change of code makes a small layer; then the parts list.
RUN /opt/tools/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/daftt/bin/pip install --no-cache-dir --no-index --no-deps --prefix /own /wheel/*.whl \
    && cp -a /own/. /opt/daftt/ \
    && /opt/daftt/bin/pip check \
    && /opt/tools/bin/cyclonedx-py environment --of JSON -o /own/sbom.cdx.json /opt/daftt/bin/python

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="DAFTT core" \
      org.opencontainers.image.description="Preflight, data, launcher, curation, evaluation and report of DAFTT; without torch" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
COPY --from=dependencies /opt/daftt /opt/daftt
COPY --from=own /own /opt/daftt
# The root file system may be read-only: whatever is written goes to /tmp.
ENV PATH=/opt/daftt/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    LOGNAME=daftt \
    XDG_CACHE_HOME=/tmp/cache \
    DAFTT_CACHE=/tmp/daftt \
    MPLCONFIGDIR=/tmp/matplotlib \
    HF_HOME=/tmp/huggingface \
    HF_HUB_DISABLE_XET=1
WORKDIR /tmp
# A number, so that Kubernetes can tell that it is not root.
USER 1000:1000
CMD ["daftt", "--help"]
