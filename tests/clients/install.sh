#!/bin/sh
# Installs what drives fal's own clients and the examples once, at the pinned versions, under target/clients: a Python
# environment in venv, Node's modules in node. Two that run at the same time wait for each other.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
home="$here/../../target/clients"
mkdir -p "$home/node"
exec 9>"$home/lock"
flock 9

if ! cmp -s "$here/requirements.txt" "$home/requirements.installed"; then
    python3 -m venv "$home/venv"
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$home/requirements.installed"
    # The environment is new.
    rm -f "$home/psycopg.installed"
fi
if ! cmp -s "$here/psycopg.txt" "$home/psycopg.installed"; then
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$here/psycopg.txt"
    cp "$here/psycopg.txt" "$home/psycopg.installed"
fi
if ! cmp -s "$here/package-lock.json" "$home/package.installed"; then
    cp "$here/package.json" "$here/package-lock.json" "$home/node/"
    (cd "$home/node" && npm ci --no-audit --no-fund --silent)
    cp "$here/package-lock.json" "$home/package.installed"
fi
