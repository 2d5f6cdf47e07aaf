import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { V1Pod } from "@kubernetes/client-node";
import { writeAtomically } from "./atomicWriter";
import type { ObjectSource } from "./environment";
import type { PodFacts } from "./fields";
import { errorText } from "./watch";
import { type TokenWish, tokensWanted, VolumeError, volumeFiles } from "./projection";

export interface VolumesOptions {
  /** Folder that gets one folder per volume. */
  directory: string;
  facts: () => PodFacts;
  objects: ObjectSource;
  /** Asks the API server for a token of the Pod's ServiceAccount. */
  requestToken: (wish: TokenWish) => Promise<string>;
}

interface HeldToken {
  token: string;
  renewAt: number;
}

/** A kubelet renews a token when four fifths of its time are over. */
const renewAfter = 0.8;

/** The volumes of one Pod. */
export class PodVolumes {
  private readonly tokens = new Map<string, HeldToken>();
  private last: Promise<void> = Promise.resolve();

  constructor(private readonly options: VolumesOptions) {}

  /** Folder of each volume, by the volume's name. */
  directories(): ReadonlyMap<string, string> {
    const volumes = this.options.facts().pod.spec?.volumes ?? [];
    return new Map(volumes.map(({ name }) => [name, join(this.options.directory, name)]));
  }

  /** Resolves when no update is under way. */
  settled(): Promise<void> {
    return this.last;
  }

  /**
   * Brings every volume up to date; one call after another.
   * @throws VolumeError that names every volume that could not be filled; the others are up to date then, and what
   *   these held before stays.
   */
  update(): Promise<void> {
    const update = this.last.then(() => this.write());
    this.last = update.catch(() => undefined);
    return update;
  }

  private async write(): Promise<void> {
    const facts = this.options.facts();
    const problems = await this.renewTokens(facts.pod);
    for (const volume of facts.pod.spec?.volumes ?? []) {
      const directory = join(this.options.directory, volume.name);
      try {
        const files = volumeFiles(volume, {
          facts,
          objects: this.options.objects,
          token: (wish) => this.tokens.get(tokenKey(wish))?.token,
        });
        if (files) await writeAtomically(directory, files);
        else await makeEmptyDirectory(directory);
      } catch (error) {
        if (!(error instanceof VolumeError)) throw error;
        problems.push(error.message);
      }
    }
    if (problems.length > 0) throw new VolumeError(problems.join("; "));
  }

  private async renewTokens(pod: V1Pod): Promise<string[]> {
    const problems: string[] = [];
    for (const wish of tokensWanted(pod)) {
      const held = this.tokens.get(tokenKey(wish));
      if (held && Date.now() < held.renewAt) continue;
      try {
        const token = await this.options.requestToken(wish);
        this.tokens.set(tokenKey(wish), {
          token,
          renewAt: Date.now() + wish.expirationSeconds * 1000 * renewAfter,
        });
      } catch (error) {
        problems.push(`token for audience "${wish.audience}": ${errorText(error)}`);
      }
    }
    return problems;
  }
}

function tokenKey(wish: TokenWish): string {
  return `${wish.audience} ${wish.expirationSeconds}`;
}

async function makeEmptyDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o777);
}

/** Whether a Pod's volumes show an object of this kind and name. */
export function showsObject(pod: V1Pod, kind: "ConfigMap" | "Secret", name: string): boolean {
  return (pod.spec?.volumes ?? []).some((volume) => {
    const projected = volume.projected?.sources ?? [];
    if (kind === "ConfigMap") {
      return volume.configMap?.name === name || projected.some((source) => source.configMap?.name === name);
    }
    return volume.secret?.secretName === name || projected.some((source) => source.secret?.name === name);
  });
}
