// A receiver of Bellwether's webhooks: verified, each event once, numbers never set back.
// Node and the official Standard Webhooks library; see README.md beside this directory.

import { createServer } from "node:http";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const LARGEST_BODY = 5_000_000; // bytes; the longest event has 4 MiB
const MOST_REMEMBERED = 100_000;

if (!process.env.WEBHOOK_SECRET) {
  console.error("WEBHOOK_SECRET is not set; hint: it is the webhook's signing secret, whsec_...");
  process.exit(1);
}
const verifier = new Webhook(process.env.WEBHOOK_SECRET);
// In earnest: a table with a unique key, in one transaction with what is stored of the event.
const seen = new Set();
const sequences = new Map();

/** Says what the event is: `news`, `repeated`, or `older` than what its number has told. */
function take(event, sequence, isTest) {
  if (seen.has(event.eventId)) return "repeated";
  const number = event.eventDetails.displayPhoneNumber ?? event.businessAccountId;
  const key = isTest ? event.eventId : `${event.accountId}/${number}`; // test events count by themselves
  const older = sequence < (sequences.get(key) ?? 0);
  if (!older) sequences.set(key, sequence);
  seen.add(event.eventId);
  for (const memory of [seen, sequences]) {
    if (memory.size > MOST_REMEMBERED) memory.delete(memory.keys().next().value);
  }
  return older ? "older" : "news";
}

/** The body's bytes as they came; null if there are too many. */
async function read(request) {
  if (Number(request.headers["content-length"]) > LARGEST_BODY) return null;
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > LARGEST_BODY) return null;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function receive(request) {
  if (request.method !== "POST") return 405;
  const body = await read(request);
  if (body === null) return 413;
  const event = verifier.verify(body, request.headers);
  const sequence = Number(request.headers["bellwether-sequence"]);
  console.log(take(event, sequence, "bellwether-test" in request.headers), sequence, event.eventType);
  return 204; // stored: the work on it comes afterwards
}

const server = createServer(async (request, response) => {
  try {
    const status = await receive(request);
    response.writeHead(status, status === 413 ? { connection: "close" } : {}).end();
  } catch (error) {
    response.writeHead(error instanceof WebhookVerificationError ? 401 : 500).end();
  }
});
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/`);
});
