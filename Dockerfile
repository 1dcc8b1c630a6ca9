# promisam in a container: commands on files of a folder that is mounted at /data, weights in a volume that stays.
#
#   docker build -t promisam .                                                               # CPU
#   docker build -t promisam:cuda --build-arg TORCH_INDEX=https://pypi.org/simple .   # NVIDIA GPUs: the usual build
#   docker run --rm -v "$PWD:/data" -v promisam-cache:/cache --user "$(id -u):$(id -g)" promisam segment scan.nii.gz --box ...
#   docker run --rm --gpus all ... promisam:cuda ... --device cuda
#
# The annotator listens on this machine alone unless it is told a token, which a published port needs:
#   docker run --rm -p 8000:8000 ... promisam annotate /data --host 0.0.0.0 --port 8000 --token CHOSEN --no-browser
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE THIRD_PARTY_NOTICES.md MANIFEST.in ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH="torch==2.13.0"
ARG EXTRAS="web,dicom,onnx"
COPY constraints.txt /tmp/constraints.txt
COPY --from=build /wheels /tmp/wheels
# torch alone and first, from the index of its build; everything else must then leave it as it is
RUN pip install --no-cache-dir --index-url "${TORCH_INDEX}" "${TORCH}" \
    && grep -v '^torch==' /tmp/constraints.txt > /tmp/others.txt \
    && pip install --no-cache-dir -c /tmp/others.txt "$(echo /tmp/wheels/promisam-*.whl)[${EXTRAS}]" \
    && rm -rf /tmp/wheels /tmp/constraints.txt /tmp/others.txt \
    && useradd --create-home --uid 1000 promisam \
    && mkdir -p /cache /data \
    && chown promisam /cache /data \
    && chmod 1777 /cache
ENV PROMISAM_CACHE=/cache PYTHONUNBUFFERED=1
USER promisam
WORKDIR /data
VOLUME /cache
ENTRYPOINT ["promisam"]
CMD ["--help"]
