# On Record in one image: `onrecord api`, `onrecord worker`, or `onrecord serve` with a store of its own.
FROM python:3.13-slim AS dependencies
RUN groupadd --gid 10001 onrecord \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/onrecord --no-create-home --shell /usr/sbin/nologin onrecord \
 && install -d -m 0700 -o onrecord -g onrecord /var/lib/onrecord
COPY requirements.runtime.lock /app/
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --require-hashes --only-binary :all: --requirement /app/requirements.runtime.lock

FROM dependencies AS package
WORKDIR /src
COPY requirements.lock ./
RUN awk '/^setuptools==/ { on = 1 } on { print } on && !/\\$/ { exit }' requirements.lock >build.lock \
 && pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --require-hashes --only-binary :all: --requirement build.lock
COPY pyproject.toml README.md ./
COPY events events
COPY service service
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore --no-warn-script-location \
        --no-deps --no-build-isolation --prefix /package . \
 && cp -a /package/. /usr/local/ \
 && pip check

FROM dependencies
COPY --from=package /package /usr/local
COPY samples /app/samples
WORKDIR /app
ENV ONRECORD_HOME=/var/lib/onrecord ONRECORD_HOST=0.0.0.0 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /var/lib/onrecord
EXPOSE 8181
# The proxy that an environment may name is for others, so no urllib.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "\
import http.client, os, sys; \
api = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('ONRECORD_PORT', '8181')), timeout=4); \
api.request('GET', '/livez'); \
sys.exit(api.getresponse().status != 200)"]
ENTRYPOINT ["onrecord"]
CMD ["serve"]
