"""Drives fal's own Python client, unchanged, over TLS: submit, status, result, cancel, subscribe."""

import asyncio
import importlib.metadata
import sys

import fal_client

MODEL = "fal-ai/flux/schnell"


def same(what, found, expected):
    if found != expected:
        sys.exit(f"python: {what}: expected {expected!r}, found {found!r}")


def check_output(what, output, prompt):
    keys = ["has_nsfw_concepts", "images", "prompt", "seed", "timings"]
    same(f"{what}: keys", sorted(output), keys)
    same(f"{what}: prompt", output["prompt"], prompt)
    same(f"{what}: seed", type(output["seed"]), int)
    for key in ("url", "width", "height", "content_type"):
        same(f"{what}: image has {key}", key in output["images"][0], True)


def submit_and_follow():
    handle = fal_client.submit(MODEL, arguments={"prompt": "an owl"})
    same("status type", isinstance(handle.status(), fal_client.Status), True)
    states = [type(event).__name__ for event in handle.iter_events(with_logs=True, interval=0.05)]
    same("last event", states[-1], "Completed")
    check_output("submit", handle.get(), "an owl")

    done = fal_client.status(MODEL, handle.request_id, with_logs=True)
    same("status by id", type(done).__name__, "Completed")
    same("log fields", sorted(done.logs[0]), ["level", "message", "source", "timestamp"])
    same("inference time", type(done.metrics["inference_time"]), float)
    same("logs when not asked for", fal_client.status(MODEL, handle.request_id).logs, None)
    check_output("result by id", fal_client.result(MODEL, handle.request_id), "an owl")


def subscribe():
    seen = []
    output = fal_client.subscribe(
        MODEL, arguments={"prompt": "an eagle", "seed": 7}, on_queue_update=lambda event: seen.append(event)
    )
    check_output("subscribe", output, "an eagle")
    same("given seed", output["seed"], 7)
    same("last update", type(seen[-1]).__name__, "Completed")


def cancel():
    handle = fal_client.submit("fal-ai/flux-pro/v1.1-ultra", arguments={"prompt": "a falcon"})
    handle.cancel()
    for _ in handle.iter_events(interval=0.05):
        pass
    refusal = error_of(handle.get)
    same("cancelled result", (refusal.status_code, refusal.error_type), (499, "client_cancelled"))
    same("second cancel", error_of(handle.cancel).status_code, 400)


def refusals():
    missing = error_of(lambda: fal_client.submit(MODEL, arguments={}))
    same("missing prompt", missing.status_code, 422)
    unknown = error_of(lambda: fal_client.submit("unknown/model", arguments={"prompt": "x"}))
    same("unknown model", unknown.status_code, 404)
    stranger = fal_client.SyncClient(key="no-key-at-all")
    same("bad key", error_of(lambda: stranger.submit(MODEL, arguments={"prompt": "x"})).status_code, 401)
    absent = "00000000-0000-4000-8000-000000000000"
    same("absent request", error_of(lambda: fal_client.result(MODEL, absent)).status_code, 404)


async def asynchronously():
    outputs = await asyncio.gather(
        *(fal_client.subscribe_async(MODEL, arguments={"prompt": f"bird {n}"}) for n in range(5))
    )
    for n, output in enumerate(outputs):
        check_output("subscribe_async", output, f"bird {n}")


def error_of(call):
    try:
        call()
    except fal_client.FalClientHTTPError as error:
        return error
    return sys.exit("python: an error was expected and did not come")


same("client version", importlib.metadata.version("fal-client"), "1.0.3")
for check in (submit_and_follow, subscribe, cancel, refusals, lambda: asyncio.run(asynchronously())):
    check()
print("python fal-client 1.0.3: as expected")
