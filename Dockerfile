# Two stages: one builds with the toolchain, the other is plain Debian with the one binary.
#   docker build --tag registry.example.org/latchd:0.1.0 . && docker push registry.example.org/latchd:0.1.0
# BuildKit (Docker 23 or later, or podman) caches dependencies and earlier builds.

FROM rust:1-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock config.toml ./
COPY src ./src
COPY openapi ./openapi
# The manifest names these targets, so cargo expects them, although the server does not need them.
COPY tests/main.rs ./tests/
COPY benches ./benches
RUN --mount=type=cache,id=latchd-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=latchd-target,target=/build/target \
    cargo build --locked --release --bin latchd && install -m 755 target/release/latchd /usr/local/bin/latchd

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="latchd" \
      org.opencontainers.image.description="A lock service: sessions, leases, fencing tokens and fair queues over HTTPS" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 latchd && useradd --system --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin latchd \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/latchd
COPY --from=build /usr/local/bin/latchd /usr/local/bin/latchd
# A number, because Kubernetes cannot tell whether a name is root.
USER 10001:10001
WORKDIR /var/lib/latchd
VOLUME /var/lib/latchd
EXPOSE 8443 9443
ENV LATCHD_DATA_DIR=/var/lib/latchd/data \
    LATCHD_TLS_DEV_DIR=/var/lib/latchd/certs \
    LATCHD_LISTEN=https://0.0.0.0:8443
# Exec form everywhere, so that SIGTERM reaches the server itself, which then drains.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["latchd", "health", "--local"]
# Beyond loopback a credential is required. Without one, the server says so and stops.
ENTRYPOINT ["latchd"]
CMD ["serve"]
