# With torch, transformers and DeepSpeed: the teacher, its assessment, the students.
# As in serve.Dockerfile, step by step down to the last stage's first COPY: so the two images have their
# large layer in common, which is built, stored, pushed and pulled once.
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

# What others wrote changes seldom and comes first. torch has no hashes: its builds differ from index
# to index.
COPY docker/core-requirements.txt docker/train-requirements.txt ./
COPY pyproject.toml constraints.txt docker/requirements.py ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/daftt/bin/pip install --require-hashes --no-deps \
      -r core-requirements.txt -r train-requirements.txt \
    && python3 requirements.py train > requirements.txt \
    && /opt/daftt/bin/pip install -c constraints.txt -r requirements.txt

# DeepSpeed is published as source only. Its fused operators are left to be built where a compiler
# and the CUDA toolkit are; ZeRO and torch's own optimizers need none of them.
FROM dependencies AS cluster
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    DS_BUILD_OPS=0 /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels \
      "$(grep '^deepspeed==' constraints.txt)" \
    && python3 requirements.py train cluster > requirements.txt \
    && /opt/daftt/bin/pip install --prefix /cluster --find-links /wheels -c constraints.txt \
      -r requirements.txt \
    && cp -a /cluster/. /opt/daftt/

FROM cluster AS own
COPY LICENSE NOTICE README.md ./
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
COPY --from=dependencies /opt/daftt /opt/daftt
COPY --from=cluster /cluster /opt/daftt
ARG BASE_IMAGE
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="DAFTT train" \
      org.opencontainers.image.description="Training of teachers and students of DAFTT, with torch, transformers and DeepSpeed" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
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
    TORCHINDUCTOR_CACHE_DIR=/tmp/torchinductor \
    TRITON_CACHE_DIR=/tmp/triton \
    TORCH_EXTENSIONS_DIR=/tmp/torch-extensions
WORKDIR /tmp
# A number, so that Kubernetes can tell that it is not root.
USER 1000:1000
CMD ["daftt", "--help"]
