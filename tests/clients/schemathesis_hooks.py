"""What schemathesis does not know by itself: ids that exist, and texts that must stand in no answer."""

import json
import os
import zlib

import schemathesis

OWN = json.loads(os.environ.get("FALCONER_OWN_IDS", "{}"))
FOREIGN = json.loads(os.environ.get("FALCONER_FOREIGN", "{}"))
CANARIES = json.loads(os.environ.get("FALCONER_CANARIES", "[]"))
# No poll may take the time of all others.
SHORT = {"wait": "0s", "timeout": "0s"}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Puts an id of ours, or one of the other project, in the place of most that were made up."""
    path = context.operation.path if context.operation is not None else ""
    for name, value in (path_parameters or {}).items():
        dice = zlib.crc32(f"{path} {value}".encode(errors="replace"))
        ids = (OWN, FOREIGN, {})[dice % 3].get(path.split("{")[0], [])
        if ids:
            path_parameters[name] = ids[dice // 3 % len(ids)]
    return path_parameters


@schemathesis.hook
def map_query(context, query):
    """Keeps waits short where they were understood."""
    for name, short in SHORT.items():
        if query and isinstance(query.get(name), str) and query[name][:1].isdigit():
            query[name] = short
    return query


@schemathesis.check
def nothing_of_another_project(context, response, case):
    """No answer holds what only the other project can know, but for what was sent."""
    sent = f"{case.path_parameters} {case.query} {case.body}"
    told = response.content.decode(errors="replace") + str(dict(response.headers))
    for canary in CANARIES:
        if canary in told and canary not in sent:
            raise AssertionError(f"the answer tells {canary!r} of another project")


@schemathesis.check
def nothing_of_the_inside(context, response, case):
    """No answer shows SQL or where in the code something went wrong."""
    if "problem+json" not in str(response.headers.get("content-type")):
        return
    told = response.content.decode(errors="replace").lower()
    for word in ("sqlx", "sqlstate", "insert into", "falconer.", "panicked", ".rs:", "backtrace"):
        if word in told:
            raise AssertionError(f"the answer shows {word!r} of the inside")
