// Drives fal's own JavaScript client, its hosts rewritten by a middleware: submit, status, result, cancel, subscribe.

import { createFalClient } from "@fal-ai/client";
import { readFileSync } from "node:fs";
import { deepStrictEqual } from "node:assert";

const MODEL = "fal-ai/flux/schnell";
const base = process.env.FAL_URL;

const requestMiddleware = async (request) => {
  const url = new URL(request.url);
  const ours = /(^|\.)fal\.(run|ai)$/.test(url.hostname);
  return ours ? { ...request, url: base + url.pathname + url.search } : request;
};
const fal = createFalClient({ credentials: "id:secret", requestMiddleware });

function same(what, found, expected) {
  try {
    deepStrictEqual(found, expected);
  } catch {
    console.error(`javascript: ${what}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`);
    process.exit(1);
  }
}

function checkOutput(what, output, prompt) {
  same(`${what}: keys`, Object.keys(output).sort(), ["has_nsfw_concepts", "images", "prompt", "seed", "timings"]);
  same(`${what}: prompt`, output.prompt, prompt);
  same(`${what}: image`, typeof output.images[0].url, "string");
}

async function errorOf(what, promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  console.error(`javascript: ${what}: an error was expected and did not come`);
  return process.exit(1);
}

async function submitAndFollow() {
  const { request_id: requestId } = await fal.queue.submit(MODEL, { input: { prompt: "an owl" } });
  await fal.queue.subscribeToStatus(MODEL, { requestId, logs: true, pollInterval: 50 });
  const status = await fal.queue.status(MODEL, { requestId, logs: true });
  same("status", status.status, "COMPLETED");
  same("status id", status.request_id, requestId);
  same("log fields", Object.keys(status.logs[0]).sort(), ["level", "message", "source", "timestamp"]);
  const result = await fal.queue.result(MODEL, { requestId });
  same("request id of the result", result.requestId, requestId);
  checkOutput("result", result.data, "an owl");
}

async function subscribe(mode) {
  const updates = [];
  const { data, requestId } = await fal.subscribe(MODEL, {
    input: { prompt: "an eagle", seed: 7 },
    mode,
    logs: true,
    pollInterval: 50,
    onQueueUpdate: (update) => updates.push(update.status),
  });
  checkOutput(`subscribe ${mode}`, data, "an eagle");
  same(`subscribe ${mode}: seed`, data.seed, 7);
  same(`subscribe ${mode}: id`, typeof requestId, "string");
  same(`subscribe ${mode}: last update`, updates.at(-1), "COMPLETED");
}

async function cancel() {
  const model = "fal-ai/flux-pro/v1.1-ultra";
  const { request_id: requestId } = await fal.queue.submit(model, { input: { prompt: "a falcon" } });
  await fal.queue.cancel(model, { requestId });
  await fal.queue.subscribeToStatus(model, { requestId, pollInterval: 50 });
  const gone = await errorOf("cancelled result", fal.queue.result(model, { requestId }));
  same("cancelled result", [gone.status, gone.body.error_type], [499, "client_cancelled"]);
  same("second cancel", (await errorOf("second cancel", fal.queue.cancel(model, { requestId }))).status, 400);
}

async function refusals() {
  const missing = await errorOf("missing prompt", fal.queue.submit(MODEL, { input: {} }));
  same("missing prompt", [missing.status, missing.name], [422, "ValidationError"]);
  same("missing prompt: field", missing.fieldErrors[0].loc, ["body", "prompt"]);
  const unknown = await errorOf("unknown model", fal.queue.submit("unknown/model", { input: { prompt: "x" } }));
  same("unknown model", unknown.status, 404);
  const stranger = createFalClient({ credentials: "no-key-at-all", requestMiddleware });
  const bad = await errorOf("bad key", stranger.queue.submit(MODEL, { input: { prompt: "x" } }));
  same("bad key", bad.status, 401);
}

const manifest = new URL("node_modules/@fal-ai/client/package.json", import.meta.url);
same("client version", JSON.parse(readFileSync(manifest, "utf8")).version, "1.10.1");
await submitAndFollow();
await subscribe("polling");
await subscribe("streaming");
await cancel();
await refusals();
console.log("javascript @fal-ai/client 1.10.1: as expected");
process.exit(0);
