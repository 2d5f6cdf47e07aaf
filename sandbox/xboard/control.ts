import type { IncomingMessage, ServerResponse } from "node:http";
import { noFaults, parseFaults } from "./faults";
import type { XboardState } from "./server";

/**
 * The control port, which only the sandbox reaches:
 * `GET /healthz`, `GET|PUT|DELETE /faults` (JSON of `Faults`), `GET|DELETE /requests` (JSON of `SeenRequests`).
 */
export async function handleControl(state: XboardState, request: IncomingMessage, response: ServerResponse) {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const reply = (status: number, value: unknown) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };
  switch (`${request.method ?? ""} ${request.url ?? ""}`) {
    case "GET /healthz":
      return reply(200, { status: "ok" });
    case "GET /faults":
      return reply(200, state.faults);
    case "PUT /faults": {
      const parsed = parseFaults(parseJson(Buffer.concat(chunks).toString("utf8")));
      if ("problems" in parsed) return reply(400, parsed);
      state.faults = parsed.faults;
      return reply(200, state.faults);
    }
    case "DELETE /faults":
      state.faults = noFaults;
      return reply(200, state.faults);
    case "GET /requests":
      return reply(200, state.requests);
    case "DELETE /requests":
      state.forget();
      return reply(200, state.requests);
    default:
      return reply(404, { problems: ["use GET /healthz, GET|PUT|DELETE /faults or GET|DELETE /requests"] });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
