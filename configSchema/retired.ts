import { z } from "zod";
import { dnsLabel, section } from "./fields";

/** What the abandoned WorkloadEntry attempt consists of; nothing of another kind is ever deleted. */
export const retirableKinds = {
  ServiceEntry: "networking.istio.io/v1",
  WorkloadGroup: "networking.istio.io/v1",
  WorkloadEntry: "networking.istio.io/v1",
  ServiceAccount: "v1",
} as const;

const kindNames = Object.keys(retirableKinds) as (keyof typeof retirableKinds)[];

/** The exact objects of the abandoned attempt that are to go. Default: none. */
export const retired = z
  .array(
    section({
      kind: z.enum(kindNames, { error: `one of ${kindNames.join(", ")}` }),
      namespace: dnsLabel,
      name: z.string({ error: "the object's exact name" }).min(1, { error: "the object's exact name" }),
    }),
    { error: "a list of objects with kind, namespace and name" },
  )
  .default([]);
