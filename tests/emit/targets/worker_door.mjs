// Runs a Worker: node worker_door.mjs WORKER ORIGIN [cache]
// Each line of standard input is a request {method, path, headers}; each line of output is what the Worker answered.
// With "cache" there is a stand-in for caches.default, which Node lacks; it refuses what Cloudflare's refuses.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [file, origin, cache] = process.argv.slice(2);

class Store {
  #kept = new Map();

  async match(request) {
    const kept = request.method === "GET" ? this.#kept.get(request.url) : undefined;
    if (kept && kept.headers.get("etag") && request.headers.get("if-none-match") === kept.headers.get("etag")) {
      return new Response(null, { status: 304, headers: kept.headers });
    }
    return kept && kept.clone();
  }

  async put(request, response) {
    if (request.method !== "GET" || response.status === 206 || response.headers.get("vary") === "*") {
      throw new TypeError("refused by the Cache API");
    }
    if (!response.headers.has("set-cookie")) {
      this.#kept.set(request.url, response);
    }
  }
}

if (cache) {
  globalThis.caches = { default: new Store() };
}
const worker = (await import(pathToFileURL(file))).default;

for await (const line of createInterface({ input: process.stdin })) {
  const { method, path, headers } = JSON.parse(line);
  const pending = [];
  const body = ["GET", "HEAD"].includes(method) ? undefined : "{}";
  const request = new Request(origin + path, { method, headers, body, redirect: "manual" });
  const response = await worker.fetch(request, {}, { waitUntil: (promise) => pending.push(promise) });
  const body_text = await response.text();
  await Promise.all(pending);
  console.log(JSON.stringify({ status: response.status, headers: [...response.headers], body: body_text }));
}
