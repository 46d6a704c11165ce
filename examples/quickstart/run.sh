#!/bin/sh
# Runs the gateway with the routes file beside this script, and a certificate made on the spot.
# README.md here says what to set first and what one sees.
set -eu
cd "$(dirname "$0")"
: "${TOLLGATE:=tollgate}"
if ! command -v "$TOLLGATE" >/dev/null; then
  echo "there is no \"$TOLLGATE\": README.md says how to get it" >&2
  exit 1
fi
for name in ISSUER AUDIENCE SERVICE GATEWAY_SECRET; do
  if eval "[ -z \"\${$name:-}\" ]"; then
    echo "set $name first: README.md says to what" >&2
    exit 1
  fi
done
if [ ! -e api.pem ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout api.key -out api.pem 2>/dev/null
fi
"$TOLLGATE" check routes.json
exec "$TOLLGATE" run routes.json
