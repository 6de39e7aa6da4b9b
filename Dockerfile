# syntax=docker/dockerfile:1
# Two stages: the toolchain builds, a bare Debian with one binary runs.

FROM rust:1-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock config.toml ./
COPY src ./src
COPY openapi ./openapi
# Targets that the manifest names but that a server does not need.
RUN mkdir -p tests benches/cycles \
    && echo 'fn main() {}' | tee tests/main.rs > benches/cycles/main.rs \
    && cargo build --locked --release --bin latchd

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin latchd \
    && install -d -o latchd -g latchd -m 0700 /var/lib/latchd
COPY --from=build /build/target/release/latchd /usr/local/bin/latchd
USER latchd
WORKDIR /var/lib/latchd
VOLUME /var/lib/latchd
EXPOSE 8443 9443
ENV LATCHD_DATA_DIR=/var/lib/latchd/data \
    LATCHD_TLS_DEV_DIR=/var/lib/latchd/certs \
    LATCHD_LISTEN=https://0.0.0.0:8443
# Exec form everywhere: SIGTERM reaches the server itself, which then drains.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["latchd", "health", "--local"]
# Beyond loopback a credential is required; without one the server says so and stops.
ENTRYPOINT ["latchd"]
CMD ["serve"]
