#!/bin/sh
# Makes the files that the routes file beside this script names, and checks it.
set -eu
cd "$(dirname "$0")"
: "${TOLLGATE:=tollgate}"
export GATEWAY_SECRET="${GATEWAY_SECRET:-an-example}"
if [ ! -e api.pem ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj /CN=api.example.com \
    -addext subjectAltName=DNS:api.example.com -keyout api.key -out api.pem 2>/dev/null
fi
if [ ! -e clients.pem ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj /CN=Clients -keyout clients.key -out clients.pem 2>/dev/null
fi
if [ ! -e gateway.pem ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj /CN=gateway -keyout gateway.key -out gateway.pem 2>/dev/null
fi
if [ ! -e partner.jwks.json ]; then
  echo '{ "keys": [] }' >partner.jwks.json
fi
if [ ! -e cache.key ]; then
  openssl rand -base64 32 >cache.key
fi
exec "$TOLLGATE" check routes.json
