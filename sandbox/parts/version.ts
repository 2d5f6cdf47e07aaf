/** `[major, minor, patch]`; a number that is not given counts as 0. */
export type Version = readonly [number, number, number];

/** The first thing in a text that looks like a version: what programs print ranges from `v3.250.0` to a sentence. */
export function findVersion(text: string): string | undefined {
  return /\d+\.\d+(?:\.\d+)?/.exec(text)?.[0];
}

/**
 * Whether a version lies in a range such as `>=1.36 <1.37`: comparisons with a space between, all of which must hold.
 * @throws RangeError when the range or the version is not of that form.
 */
export function isFit(version: string, range: string): boolean {
  return range.split(" ").every((comparison) => {
    const [, operator, bound] = /^(>=|<)(\S+)$/.exec(comparison) ?? [];
    if (bound === undefined)
      throw new RangeError(`"${comparison}" in "${range}" is neither ">=version" nor "<version"`);
    const order = compare(parse(version), parse(bound));
    return operator === "<" ? order < 0 : order >= 0;
  });
}

function parse(text: string): Version {
  const match = /^(\d+)(?:\.(\d+))?(?:\.(\d+))?$/.exec(text);
  if (!match) throw new RangeError(`"${text}" is not a version`);
  return [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)];
}

function compare(left: Version, right: Version): number {
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}
