#!/bin/sh
# Runs schemathesis against a running server and fails on whatever its description does not say.
#
#   schemathesis.sh URL
#
# FALCONER_API_KEY    the key to call with
# FALCONER_OWN_IDS    a JSON object: ids that belong to the key's project, by the beginning of their path
# FALCONER_FOREIGN    a JSON object of the same form: ids of another project
# FALCONER_CANARIES   a JSON list of texts that must stand in no answer
# SECONDS_MAX         after how long it is stopped and has failed, 90 where it is not set
#
# EXAMPLES_MAX        how many calls it makes up for each operation, 10 where it is not set
# It is installed once, at the pinned versions, under target/clients.
set -eu

url=${1:?the address of the server is missing}
here=$(cd "$(dirname "$0")" && pwd)
home="$here/../../target/clients/schemathesis"
mkdir -p "$home"

if ! cmp -s "$here/schemathesis-requirements.txt" "$home/installed.txt"; then
    python3 -m venv "$home/venv"
    "$home/venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$here/schemathesis-requirements.txt"
    cp "$here/schemathesis-requirements.txt" "$home/installed.txt"
fi

cp "$here/schemathesis_hooks.py" "$home/"
cd "$home"
SCHEMATHESIS_HOOKS=schemathesis_hooks PYTHONPATH="$home" PYTHONDONTWRITEBYTECODE=1 timeout "${SECONDS_MAX:-90}" \
    "$home/venv/bin/st" --config-file "$here/schemathesis.toml" run "$url/openapi.json" \
    --header "Authorization: Bearer $FALCONER_API_KEY" \
    --phases examples,coverage,fuzzing --mode all --max-examples "${EXAMPLES_MAX:-10}" \
    --generation-deterministic --continue-on-failure \
    --request-timeout 20 --suppress-health-check all --workers 1 --no-color --warnings off
