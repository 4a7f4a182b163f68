# How to build and run it, and what was tried: docs/container.md
ARG PYTHON=3.11.15-slim-bookworm

FROM docker.io/library/python:${PYTHON} AS base
WORKDIR /app
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin emoscope && \
    install --directory --owner=emoscope --group=emoscope /models /outputs

# The packages, without a line of Emoscope: made again only when a list of requirements changes.
FROM base AS packages
# On pip's usual index PyTorch for Linux comes with CUDA (the CUDA variant names that one); here are the CPU wheels.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY run.sh requirements.txt constraints.txt ./
# For pip, a 0 in PIP_NO_COMPILE is what switches compiling off.
RUN PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=0 ./run.sh setup
# What nobody needs: C++ and Cython sources, static libraries, the packages' own tests, Arrow's network clients,
# Gradio's video editor and samples, names in compiled libraries that only a debugger reads, and pip, which is done.
# strip damages libraries whose segments patchelf has moved: those that auditwheel put into folders *.libs, and numba's.
# hadolint ignore=DL3008,DL3009
RUN apt-get update && apt-get install --yes --no-install-recommends binutils && \
    .venv/bin/pip uninstall --yes pip && \
    find .venv/lib -name '*.dist-info' -prune -o -type d \( -name tests -o -name include -o -name __pycache__ \
        -o -path '*/torch/test' -o -path '*/frontend/static/ffmpeg' -o -path '*/gradio/media_assets' \) \
        -prune -exec rm -r {} + && \
    find .venv/lib -type f \( -name '*.a' -o -name '*.c' -o -name '*.pyx' -o -path '*/pyarrow/*flight*' \
        -o -path '*/pyarrow/*_s3*' -o -path '*/torch/bin/*' ! -name torch_shm_manager \) -delete && \
    find .venv/lib -type f -name '*.so*' ! -path '*.libs/*' ! -path '*/numba/*' -exec strip --strip-unneeded {} +

FROM base AS application
COPY --from=packages /app/.venv .venv
COPY run.sh app.py requirements.txt constraints.txt LICENSE ./
COPY models models
COPY emoscope emoscope

# Weights to bake in beside the compact ones, which are a part of the application: large, base or seed.
FROM application AS weights
ARG EMOSCOPE_MODEL=compact
RUN [ "$EMOSCOPE_MODEL" = compact ] || EMOSCOPE_MODELS=/models ./run.sh models download "$EMOSCOPE_MODEL" --slim-only

# A recording and a text are analysed, and the page is built. Python writes the bytecode of just what that imports; a
# folder of the root directory that is missing it makes in the working directory.
FROM application AS bytecode
ENV PYTHONPYCACHEPREFIX=/bytecode EMOSCOPE_OUTPUTS=/tmp/outputs EMOSCOPE_SPEECH_MODEL=compact
RUN mkdir /bytecode && \
    ./run.sh analyze emoscope/studio/examples/calm.flac --granularity frame --embedding --text "I am fine." && \
    .venv/bin/python -c "import app; from emoscope import Analyzer, Settings, server; \
server.create_app(Analyzer(Settings()), Settings())"

FROM application
ARG EMOSCOPE_MODEL=compact
COPY --from=bytecode /bytecode /bytecode
COPY --from=weights --chown=emoscope:emoscope /models /models
# Only /models, /outputs and /tmp are written to. A home that can be written to is what some packages keep caches in.
ENV EMOSCOPE_HOST=0.0.0.0 \
    EMOSCOPE_MODELS=/models \
    EMOSCOPE_OUTPUTS=/outputs \
    EMOSCOPE_SPEECH_MODEL=${EMOSCOPE_MODEL} \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/bytecode \
    PYTHONUNBUFFERED=1
# A number, so that an orchestrator can tell that it is not root.
USER 10001:10001
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/app/.venv/bin/python", "-c", "import http.client, os; \
port = int(os.environ.get('EMOSCOPE_PORT') or 7860); \
server = http.client.HTTPConnection('127.0.0.1', port, timeout=4); \
server.request('GET', '/health'); \
raise SystemExit(server.getresponse().status != 200)"]
ENTRYPOINT ["/app/run.sh"]
