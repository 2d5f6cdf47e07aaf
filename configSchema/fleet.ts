import { z } from "zod";
import { describeUrlProblem, inventoryInterval } from "../exporter/inventoryOptions";
import { filePath, flag, integer, section } from "./fields";

const secretKey = z
  .string({ error: "a key of a Secret such as token" })
  .regex(/^[-._a-zA-Z0-9]{1,253}$/, { error: "a key of a Secret such as token" });
const tokenError =
  "a secret of 8 to 4096 characters without spaces (set it with `pulumi config set --secret`)";

const fleetEndpoint = section({
  /** An https URL. Its query string is in no log; it does stand in the pods' arguments. */
  url: z.string({ error: "an https URL" }),
  /** Take a URL with http too, where the network in between is trusted. Default: false. */
  allowHttp: flag.default(false),
  /** The bearer token, as a secret of the stack; it goes into a Secret of its own. Default: none. */
  token: z
    .string({ error: tokenError })
    .regex(/^[\x21-\x7e]{8,4096}$/, { error: tokenError })
    .optional(),
  /** … or a Secret in vpsight's namespace that holds it already. Default: none. */
  tokenSecret: section({
    name: z
      .string({ error: "the name of a Secret" })
      .regex(/^[a-z0-9][-.a-z0-9]{0,252}$/, { error: "the name of a Secret" }),
    /** Default: token. */
    key: secretKey.default("token"),
  }).optional(),
  /** PEM file of the authorities to believe, relative to Pulumi.yaml. Default: those Node brings. */
  caFile: filePath("fleet/plane-ca.pem").optional(),
  /** Between two requests. Default: 30. */
  intervalSeconds: integer(inventoryInterval.least, inventoryInterval.most).default(
    inventoryInterval.default,
  ),
  /**
   * The port that pods may open for it. A NetworkPolicy sees the port behind a Service, not the Service's own: set
   * it when the URL names a Service of the cluster and the two differ. Default: the URL's.
   */
  egressPort: integer(1, 65535).optional(),
}).superRefine(({ url, allowHttp, token, tokenSecret }, context) => {
  const problem = describeUrlProblem(url, allowHttp);
  if (problem !== undefined)
    context.addIssue({ code: "custom", path: ["url"], message: problem, input: url });
  if (token !== undefined && tokenSecret !== undefined)
    context.addIssue({
      code: "custom",
      path: ["tokenSecret"],
      message: "left out when there is a token",
      input: tokenSecret,
    });
});

/** The inventory of VPSes: from a file, from the management plane, or both together (docs/inventory.md). */
export const fleet = section({
  /** The inventory file, relative to Pulumi.yaml, such as fleet/prod.yaml. Required without `http`. */
  file: filePath("fleet/prod.yaml").optional(),
  /** Where the management plane serves the inventory. Default: nowhere. */
  http: fleetEndpoint.optional(),
}).refine(({ file, http }) => file !== undefined || http !== undefined, {
  error: "a map with file, http or both",
});
