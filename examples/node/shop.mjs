// A tiny shop: an order and the job that paints it are made in one transaction.
//
//   DATABASE_URL=postgres://… FALCONER_URL=http://127.0.0.1:4800 FALCONER_KEY=flc_… node shop.mjs "an owl"

import pg from "pg";

const { DATABASE_URL, FALCONER_URL, FALCONER_KEY } = process.env;

class Declined extends Error {}

// Stands for whatever else may fail while an order is taken.
function charge(card) {
  if (card === "declined") throw new Declined();
}

// Takes an order. Either both the order and its job are there afterwards, or neither.
async function takeOrder(client, number, prompt, card) {
  await client.query("begin");
  try {
    await client.query("insert into shop_orders (number, prompt) values ($1, $2)", [number, prompt]);
    const { rows } = await client.query(
      `select falconer.submit_job(
         project         => 'default',
         model           => 'fal-ai/flux/schnell',
         input           => $1,
         tags            => array['shop', 'node'],
         idempotency_key => $2,     -- however often this is repeated, the order has one job
         notify          => true    -- sent at once after the commit, not within a second
       ) as job`,
      [JSON.stringify({ prompt }), `node order ${number}`],
    );
    const { job } = rows[0];
    await client.query("update shop_orders set job = $2 where number = $1", [number, job]);
    charge(card);
    await client.query("commit");
    return job;
  } catch (error) {
    // Takes back the order and the job.
    await client.query("rollback");
    throw error;
  }
}

async function read(path) {
  const answer = await fetch(FALCONER_URL + path, { headers: { authorization: `Bearer ${FALCONER_KEY}` } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.text();
}

const prompt = process.argv[2] ?? "an owl";
const client = new pg.Client({ connectionString: DATABASE_URL });
await client.connect();
await client.query("create table if not exists shop_orders (number int primary key, prompt text, job uuid)");
const { rows } = await client.query("select coalesce(max(number), 0) + 1 as next from shop_orders");
try {
  await takeOrder(client, rows[0].next, prompt, "declined");
} catch (error) {
  if (!(error instanceof Declined)) throw error;
  console.log("declined: no order, no job");
}
const job = await takeOrder(client, rows[0].next, prompt, "valid");
console.log("job", job);
await client.end();

await read(`/v1/jobs/${job}/wait?timeout=30s`);
console.log("result", await read(`/v1/jobs/${job}/result`));
