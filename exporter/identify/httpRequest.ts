import { request as requestPlain } from "node:http";
import type { ClientRequest, IncomingMessage } from "node:http";
import { request as requestSecure } from "node:https";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { errorCode, toError } from "../error";
import { version } from "../version";

/** One question to the management plane. */
export interface InventoryRequest {
  readonly url: URL;
  /** Sent as bearer token; undefined sends none. */
  readonly token: string | undefined;
  /** PEM of the authorities that are believed instead of Node's own; undefined means Node's own. */
  readonly authorities: string | undefined;
  /** Sent as If-None-Match; undefined asks for the inventory whatever it is. */
  readonly etag: string | undefined;
  /** For everything from the name's look-up to the last byte. */
  readonly timeoutMilliseconds: number;
  /** Of the body, as sent and as decompressed. */
  readonly maxBytes: number;
  /** Gives it up early. */
  readonly signal: AbortSignal;
}

/** What came back. */
export type InventoryAnswer =
  | { readonly changed: false }
  | { readonly changed: true; readonly text: string; readonly etag: string | undefined };

/** https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3, and of a length that is fit to be kept. */
const entityTag = /^(W\/)?"[\x21\x23-\x7e]{0,256}"$/;

/**
 * Asks for the inventory once. No redirect is followed: the token would go where the redirect says.
 * @throws Error whose message says in a few words why there is no answer; it never holds the token or the URL's query.
 */
export async function requestInventory(request: InventoryRequest): Promise<InventoryAnswer> {
  const timeout = AbortSignal.timeout(request.timeoutMilliseconds);
  try {
    const response = await send(request, AbortSignal.any([timeout, request.signal]));
    try {
      return await readAnswer(request, response);
    } finally {
      response.destroy();
    }
  } catch (error) {
    if (timeout.aborted)
      throw new Error(`no complete answer within ${request.timeoutMilliseconds / 1_000} s`, { cause: error });
    throw new Error(describeFailure(error), { cause: error });
  }
}

function send(request: InventoryRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { url, token, authorities, etag } = request;
  const options = {
    signal,
    // A connection for each question: names and certificates are looked at anew, and nothing is kept open.
    agent: false,
    headers: {
      accept: "application/yaml, application/json, text/yaml, text/plain",
      "accept-encoding": "gzip",
      "user-agent": `vpsight-exporter/${version}`,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(etag === undefined ? {} : { "if-none-match": etag }),
    },
  };
  return new Promise((resolve, reject) => {
    const call: ClientRequest =
      url.protocol === "https:"
        ? requestSecure(url, { ...options, ...(authorities === undefined ? {} : { ca: authorities }) })
        : requestPlain(url, options);
    call.once("response", resolve).on("error", reject).end();
  });
}

async function readAnswer(request: InventoryRequest, response: IncomingMessage): Promise<InventoryAnswer> {
  const { statusCode = 0, headers } = response;
  if (statusCode === 304 && request.etag !== undefined) return { changed: false };
  if (statusCode !== 200) throw new Error(describeStatus(statusCode));
  if (headers["content-type"]?.startsWith("text/html") === true)
    throw new Error("the answer is a web page, not an inventory");
  // Without either, a connection that breaks looks like the end, and half a YAML list is a whole one.
  if (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined)
    throw new Error(
      "the answer has neither Content-Length nor chunks, so its end cannot be told from a break",
    );
  const etag = headers.etag !== undefined && entityTag.test(headers.etag) ? headers.etag : undefined;
  return { changed: true, text: await readBody(request, response), etag };
}

async function readBody({ maxBytes }: InventoryRequest, response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const collect = async (body: AsyncIterable<Buffer>) => {
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw new Error(`the answer has more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  };
  const encoding = response.headers["content-encoding"] ?? "identity";
  if (encoding === "gzip") await pipeline(response, createGunzip(), collect);
  else if (encoding === "identity") await pipeline(response, collect);
  else throw new Error("the answer is compressed in another way than gzip");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new Error("the answer is not UTF-8");
  }
}

function describeStatus(code: number): string {
  if (code === 401 || code === 403) return `the token is not accepted (status ${code})`;
  if (code === 404) return "there is nothing at this URL (status 404)";
  if (code === 304) return "status 304 to a question without If-None-Match";
  if (code >= 300 && code < 400)
    return `a redirect (status ${code}), and none is followed, since the token would go with it`;
  return `status ${code}`;
}

/** Several addresses that all refuse come as one error without a message of its own. */
function describeFailure(error: unknown): string {
  const { message } = toError(error);
  const code = errorCode(error);
  if (message === "") return code ?? "no connection";
  return code === undefined || message.includes(code) ? message : `${message} (${code})`;
}
