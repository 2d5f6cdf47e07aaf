import type { Image, ImageTable } from "./types";

/** An image reference in full, as Docker understands it: `node:24` is `docker.io/library/node`, tag `24`. */
export function parseImage(reference: string): { repository: string; tag: string | undefined } {
  const withoutDigest = reference.split("@")[0] ?? "";
  const slash = withoutDigest.lastIndexOf("/");
  const colon = withoutDigest.lastIndexOf(":");
  const hasTag = colon > slash;
  const name = hasTag ? withoutDigest.slice(0, colon) : withoutDigest;
  return { repository: fullRepository(name), tag: hasTag ? withoutDigest.slice(colon + 1) : undefined };
}

function fullRepository(name: string): string {
  const [first = "", ...rest] = name.split("/");
  if (rest.length === 0) return `docker.io/library/${name}`;
  const namesRegistry = first.includes(".") || first.includes(":") || first === "localhost";
  return namesRegistry ? name : `docker.io/${name}`;
}

/** The table's entry for an image: one for its very tag before one for its repository. */
export function resolveImage(table: ImageTable, reference: string): Image | undefined {
  const wanted = parseImage(reference);
  let anyTag: Image | undefined;
  for (const [key, image] of Object.entries(table)) {
    const offered = parseImage(key);
    if (offered.repository !== wanted.repository) continue;
    if (offered.tag !== undefined && offered.tag === wanted.tag) return image;
    if (offered.tag === undefined) anyTag = image;
  }
  return anyTag;
}

/** What the container's status says about an image that the table lacks. */
export function unknownImageMessage(table: ImageTable, reference: string): string {
  const names = Object.keys(table).sort().join(", ") || "none";
  return `image "${reference}" is not in the sandbox's image table; known: ${names}`;
}
