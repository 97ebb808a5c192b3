#!/bin/sh
# Runs fal's own Python and JavaScript clients against a running simulator (or gateway) and fails on any difference.
#
#   run.sh PORT TLS_PORT CA_PEM
#
# PORT      plain HTTP on 127.0.0.1, used by the JavaScript client
# TLS_PORT  the same over TLS on 127.0.0.1, used by the Python client, which speaks nothing else
# CA_PEM    the authority that the TLS listener's certificate comes from
#
# The clients are installed once, at the pinned versions, by install.sh.
set -eu

port=${1:?the plain port is missing}
tls_port=${2:?the TLS port is missing}
ca=${3:?the path of the authority is missing}

here=$(cd "$(dirname "$0")" && pwd)
home="$here/../../target/clients"
"$here/install.sh"

FAL_KEY=id:secret FAL_RUN_HOST="127.0.0.1:$tls_port" FAL_QUEUE_RUN_HOST="127.0.0.1:$tls_port" SSL_CERT_FILE="$ca" \
    "$home/venv/bin/python" "$here/check.py"

# A module finds its dependencies beside itself, so it runs from where they are installed.
cp "$here/check.mjs" "$home/node/check.mjs"
FAL_URL="http://127.0.0.1:$port" node "$home/node/check.mjs"
