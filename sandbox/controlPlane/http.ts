import { get as getPlain } from "node:http";
import { get, type RequestOptions } from "node:https";

/** Answers whether a GET over HTTP(S) got status 200 within 2 s; a failed connection is "no". */
export async function answersOk(url: string, options: RequestOptions = {}): Promise<boolean> {
  const request = url.startsWith("https:") ? get : getPlain;
  return new Promise((resolve) => {
    const sent = request(url, { ...options, agent: false, timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    sent.on("timeout", () => sent.destroy());
    sent.on("error", () => resolve(false));
    sent.on("close", () => resolve(false));
  });
}
