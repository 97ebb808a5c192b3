// Loaded before a script with `node --import`: sends what is meant for fal to FAL_URL, so that the script stays as it is.

const base = process.env.FAL_URL;
const direct = globalThis.fetch;

globalThis.fetch = (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  const ours = /(^|\.)fal\.(run|ai)$/.test(url.hostname);
  return direct(ours ? base + url.pathname + url.search : input, init);
};
