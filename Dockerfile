# The orchestrator as an image: `docker build -t orchestrator .`, then `docker run orchestrator --help`.
# Every package comes from a lock file, checked by its hash; none of the tools that built it is in the result.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# the packages first: they change less often than the code
COPY requirements.lock requirements.runtime.lock ./
RUN python -m venv /opt/orchestrator \
 && /opt/orchestrator/bin/pip install --require-hashes -r requirements.runtime.lock
RUN pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY orchestrator orchestrator
COPY templates templates
COPY channel_policies channel_policies
COPY schemas schemas
RUN python -m build --wheel --no-isolation \
 && /opt/orchestrator/bin/pip install --no-deps --no-index dist/*.whl

FROM python:3.11.14-slim-bookworm
# an account of its own, without a shell; the project's folder, which a volume covers, belongs to it
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin orchestrator \
 && install --directory --owner orchestrator --group orchestrator --mode 0700 /project
COPY --from=build /opt/orchestrator /opt/orchestrator
ENV PATH=/opt/orchestrator/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORCHESTRATOR_PROJECT=/project
USER 10001:10001
WORKDIR /project
VOLUME /project
# a worker ends in order: it finishes its batch and leaves its group
STOPSIGNAL SIGTERM
ENTRYPOINT ["orchestrator"]
CMD ["--help"]
