import { z } from "zod";
import { SandboxError } from "../error";
import type { Faults } from "./faults";
import type { SeenRequests } from "./server";

const seenRequests = z.object({
  dropped: z.number(),
  requests: z.array(
    z.object({
      nodeId: z.string(),
      // JSON has no undefined: these two are left out then.
      endpoint: z.string().optional(),
      method: z.string(),
      status: z.number(),
      aborted: z.boolean(),
      startMilliseconds: z.number(),
      endMilliseconds: z.number(),
      forwardedFor: z.string().optional(),
    }),
  ),
});

/** Talks to the control port of a running Xboard stand-in. */
export class XboardControl {
  /** @param url base address of the control port, e.g. `http://10.244.1.4:8081`. */
  constructor(private readonly url: string) {}

  /** Puts these faults in force, in place of all earlier ones; new requests meet them at once. */
  async setFaults(faults: Faults): Promise<void> {
    await this.ask("PUT", "/faults", faults);
  }

  /** Every request that the panel saw since the last `forgetRequests`. */
  async requests(): Promise<SeenRequests> {
    const { dropped, requests } = seenRequests.parse(await this.ask("GET", "/requests"));
    return {
      dropped,
      requests: requests.map((request) => ({
        ...request,
        endpoint: request.endpoint,
        forwardedFor: request.forwardedFor,
      })),
    };
  }

  async forgetRequests(): Promise<void> {
    await this.ask("DELETE", "/requests");
  }

  /** @returns whether the stand-in answers. */
  async healthy(): Promise<boolean> {
    return this.ask("GET", "/healthz").then(
      () => true,
      () => false,
    );
  }

  private async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(new URL(path, this.url), {
        method,
        signal: AbortSignal.timeout(10_000),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      const reason =
        error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new SandboxError(`The Xboard stand-in's control port ${this.url} does not answer: ${reason}.`);
    }
    const text = await response.text();
    if (!response.ok) {
      throw new SandboxError(
        `The Xboard stand-in's control port refused ${method} ${path}: ${text.slice(0, 500)}`,
      );
    }
    return JSON.parse(text);
  }
}
