# Three images:
#
#   docker build --target voxtral  -t voxtral .    the one to deploy: vLLM and the bridge
#   docker build --target bridge   -t bridge .     the bridge alone; BRIDGE_BACKEND_URL names vLLM
#   docker build --target emulator -t emulator .   the emulator, for Compose and CI
#
# `images/build-offline` builds them where no image registry can be reached.

ARG PYTHON_IMAGE=python:3.12-slim-bookworm
# Its Python must be of the same minor version as PYTHON_IMAGE's: the bridge's packages are copied.
ARG VLLM_IMAGE=public.ecr.aws/deep-learning-containers/vllm:0.17.1-gpu-py312-cu129-ubuntu22.04-sagemaker-v1.0-soci


# What every image says of itself; `--build-arg REVISION=$(git rev-parse HEAD)` adds the commit.
ARG VERSION=0.1.0
ARG REVISION=

# The bridge's packages in a folder of their own: vLLM's image has its own releases of the same
# packages, and neither side may see the other's. Nothing in a layer tells when it was built: no
# times in compiled files, and those of all files are set. The code has a layer of its own, so that
# a change of a line moves no dependency.
FROM ${PYTHON_IMAGE} AS bridge-packages
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ARG SOURCE_DATE_EPOCH=0
WORKDIR /build
COPY images/wheels wheels
COPY constraints.txt images/dependencies.py ./
COPY bridge/pyproject.toml bridge.toml
RUN python3 dependencies.py bridge.toml > requirements.txt && \
    python3 -m pip install --quiet --no-cache-dir --no-compile --root-user-action=ignore \
    --target /opt/bridge --constraint constraints.txt --requirement requirements.txt && \
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/bridge && \
    find /opt/bridge -exec touch --no-dereference --date=@${SOURCE_DATE_EPOCH} {} +


FROM ${PYTHON_IMAGE} AS bridge-code
ARG SOURCE_DATE_EPOCH=0
COPY images/launch /opt/bridge
COPY bridge/sagemaker_bidi_bridge /opt/bridge/sagemaker_bidi_bridge
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/bridge && \
    find /opt/bridge -exec touch --no-dereference --date=@${SOURCE_DATE_EPOCH} {} +


FROM ${PYTHON_IMAGE} AS bridge
ARG VERSION
ARG REVISION
LABEL com.amazonaws.sagemaker.capabilities.bidirectional-streaming=true \
    org.opencontainers.image.title="sagemaker-bidi bridge" \
    org.opencontainers.image.description="SageMaker's bidirectional stream on 8080 to vLLM's /v1/realtime" \
    org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.source=https://github.com/sagemaker-bidi/sagemaker-bidi \
    org.opencontainers.image.version=${VERSION} \
    org.opencontainers.image.revision=${REVISION}
COPY --from=bridge-packages /opt/bridge /opt/bridge
COPY --from=bridge-code /opt/bridge /opt/bridge
WORKDIR /opt/bridge
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD ["python3", "/opt/bridge/ask_ping.py"]
# The first process hears no signal without a handler, and Python takes its time to get to that: one
# that is blocked waits. Needs coreutils 8.31, and a base without it fails here.
RUN env --block-signal=TERM,INT true
ENTRYPOINT ["env", "--block-signal=TERM,INT", "python3", "-m", "sagemaker_bidi_bridge"]
CMD ["serve"]


FROM ${PYTHON_IMAGE} AS emulator-packages
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ARG SOURCE_DATE_EPOCH=0
RUN python3 -m venv --without-pip /opt/bidi
WORKDIR /build
COPY images/wheels wheels
COPY constraints.txt pyproject.toml images/dependencies.py ./
COPY client/pyproject.toml client.toml
COPY bridge/pyproject.toml bridge.toml
RUN python3 dependencies.py pyproject.toml client.toml bridge.toml > requirements.txt && \
    python3 -m pip --python /opt/bidi/bin/python install --quiet --no-cache-dir --no-compile \
    --constraint constraints.txt --requirement requirements.txt && \
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/bidi/lib && \
    find /opt/bidi -exec touch --no-dereference --date=@${SOURCE_DATE_EPOCH} {} +


FROM emulator-packages AS emulator-code
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ARG SOURCE_DATE_EPOCH=0
COPY LICENSE README.md ./
COPY bridge bridge
COPY client client
COPY contract_tests contract_tests
COPY emulator emulator
COPY fixtures fixtures
COPY images/listens.py /code/listens.py
RUN python3 -m pip --python /opt/bidi/bin/python install --quiet --no-cache-dir --no-deps \
    --no-compile --prefix /code ./client ./bridge . && \
    python3 -m compileall -q --invalidation-mode unchecked-hash /code && \
    find /code -exec touch --no-dereference --date=@${SOURCE_DATE_EPOCH} {} +


FROM ${PYTHON_IMAGE} AS emulator
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="sagemaker-bidi emulator" \
    org.opencontainers.image.description="Amazon SageMaker AI's bidirectional streaming on your own machine" \
    org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.source=https://github.com/sagemaker-bidi/sagemaker-bidi \
    org.opencontainers.image.version=${VERSION} \
    org.opencontainers.image.revision=${REVISION}
COPY --from=emulator-packages /opt/bidi /opt/bidi
COPY --from=emulator-code /code /opt/bidi
# The local CA is in this folder: share it with the clients, which have to trust it.
ENV PATH=/opt/bidi/bin:${PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 BIDI_STATE_DIR=/var/lib/bidi
EXPOSE 8443
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["python", "/opt/bidi/listens.py"]
ENTRYPOINT ["bidi"]
CMD ["serve", "--host", "0.0.0.0"]


# Last, so that it is what `docker build .` makes, and so that a builder which makes every stage on
# the way pulls vLLM's image for this one only.
FROM ${VLLM_IMAGE} AS voxtral
ARG VERSION
ARG REVISION
# SageMaker opens no WebSocket to an image without the first of these.
LABEL com.amazonaws.sagemaker.capabilities.bidirectional-streaming=true \
    org.opencontainers.image.title="sagemaker-bidi voxtral" \
    org.opencontainers.image.description="vLLM's realtime API behind SageMaker's bidirectional stream" \
    org.opencontainers.image.licenses=Apache-2.0 \
    org.opencontainers.image.source=https://github.com/sagemaker-bidi/sagemaker-bidi \
    org.opencontainers.image.version=${VERSION} \
    org.opencontainers.image.revision=${REVISION}
USER root
# What vLLM decodes audio with; AWS's image has none of it, and vLLM ends at its start without.
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
COPY images/wheels /build/wheels
COPY images/vllm-audio.txt /build/
RUN python3 -m pip install --quiet --no-cache-dir --root-user-action=ignore \
        --requirement /build/vllm-audio.txt && \
    python3 -c "import librosa, mistral_common.audio, soundfile, soxr" && \
    rm -rf /build
COPY --from=bridge-packages /opt/bridge /opt/bridge
COPY --from=bridge-code /opt/bridge /opt/bridge
# A base image with another Python, or an old coreutils, fails here, not on SageMaker.
RUN PYTHONPATH=/opt/bridge env --block-signal=TERM,INT python3 -c "import sagemaker_bidi_bridge.app"
# 45,000 tokens are an hour of speech. Mistral's advice for this model: piecewise CUDA graphs. More
# than four streams starve each other on the GPU of the reference; the bridge refuses the fifth.
ENV PYTHONUNBUFFERED=1 \
    SM_VLLM_MAX_MODEL_LEN=45000 \
    SM_VLLM_MAX_NUM_SEQS=4 \
    SM_VLLM_TOKENIZER_MODE=mistral \
    SM_VLLM_CONFIG_FORMAT=mistral \
    SM_VLLM_LOAD_FORMAT=mistral \
    SM_VLLM_COMPILATION_CONFIG='{"cudagraph_mode": "PIECEWISE"}' \
    VLLM_DISABLE_COMPILE_CACHE=1
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=8m CMD ["python3", "/opt/bridge/ask_ping.py"]
ENTRYPOINT ["env", "--block-signal=TERM,INT", "python3", "/opt/bridge/supervise.py"]
CMD ["serve"]
