# Two images of one file. Neither has a camera: a container that needs one gets --device /dev/videoN.
#
#   docker build --target gpu -t liveedit-cam .
#   docker run --rm --gpus all -v ~/.local/share/liveedit-cam:/data liveedit-cam models list
#   docker build --target tests -t liveedit-cam-tests . && docker run --rm liveedit-cam-tests

FROM python:3.12-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# The host of a large model: torch from the index brings its own CUDA libraries; gcc is what
# torch.compile builds with.
FROM base AS gpu
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN pip install ".[wan]"
ENV LIVEEDIT_CAM_MODELS_DIR=/data
RUN useradd --create-home camera && mkdir -p /data && chown camera /data
USER camera
VOLUME /data
ENTRYPOINT ["liveedit-cam"]
CMD ["--help"]

# scripts/check as CI runs it, with the processor's torch; the tests of real parts skip, with their
# reasons, where they need a kernel module.
FROM base AS tests
COPY scripts/install-real-parts scripts/
RUN apt-get update && apt-get install -y --no-install-recommends git && scripts/install-real-parts \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN pip install --index-url https://download.pytorch.org/whl/cpu torch && pip install -e ".[dev]"
ENV PYTHON=python
CMD ["scripts/check"]
