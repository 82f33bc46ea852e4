# One image for gateway, API, migrations and tools; compose.yaml says which verb it runs.
FROM node:20.19-bookworm-slim AS page
WORKDIR /web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/latchkey
WORKDIR /latchkey
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY firmware_protocol/ firmware_protocol/
COPY geo/ geo/
COPY gateway/ gateway/
COPY api/ api/
COPY device_sim/ device_sim/
COPY cli/ cli/
COPY bench/ bench/
COPY deploy/ deploy/
COPY docs/ docs/
COPY pyproject.toml requirements.lock ./
COPY --from=page /web/dist web/dist/
# The broker's folder is made here so that a fresh volume belongs to this user.
RUN useradd --uid 10001 --create-home latchkey && install -d -o 10001 -g 10001 -m 700 /broker
USER 10001:10001
ENTRYPOINT ["python", "-m", "cli"]
CMD ["--help"]
