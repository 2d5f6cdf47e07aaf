import { mkdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import type { V1Container, V1Pod } from "@kubernetes/client-node";
import type { ContainerRoot, Mount } from "./bubblewrap";
import { ContainerConfigError, containerEnvironment, expand, type ObjectSource } from "./environment";
import type { PodFacts } from "./fields";
import { resolveImage, unknownImageMessage } from "./image";
import type { Image, ImageTable } from "./types";

export interface ContainerRootOptions {
  container: V1Container;
  facts: PodFacts;
  objects: ObjectSource;
  images: ImageTable;
  /** Folder of each volume of the Pod, by the volume's name. */
  volumes: ReadonlyMap<string, string>;
  /** Files such as /etc/hosts that the kubelet gives every container. */
  commonMounts: Mount[];
  /** Environment that the kubelet gives every container. */
  commonEnvironment: Record<string, string>;
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Everything a container needs to start, from its Pod and its image.
 * @throws ContainerConfigError with the reason a real kubelet would give.
 */
export async function containerRoot(options: ContainerRootOptions): Promise<ContainerRoot> {
  const { container, facts } = options;
  const image = resolveImage(options.images, container.image ?? "");
  if (!image)
    throw new ContainerConfigError(
      unknownImageMessage(options.images, container.image ?? ""),
      "ErrImagePull",
    );
  const hostname = facts.pod.spec?.hostname ?? facts.pod.metadata?.name ?? "pod";
  const environment = containerEnvironment(
    container,
    { PATH: defaultPath, ...image.env },
    { HOSTNAME: hostname, ...options.commonEnvironment },
    facts,
    options.objects,
  );
  const command = [...(container.command ?? image.entrypoint), ...(container.args ?? [])];
  if (command.length === 0) throw new ContainerConfigError(`no command for container ${container.name}`);
  const workingDirectory = container.workingDir ?? image.workingDirectory ?? "/";
  return {
    hostname,
    ...user(container, facts.pod, image),
    readOnlyRoot: container.securityContext?.readOnlyRootFilesystem ?? false,
    files: image.files,
    directories: [...(image.directories ?? ["/tmp"]), workingDirectory].filter(
      (directory) => directory !== "/",
    ),
    mounts: [...options.commonMounts, ...(await volumeMounts(options, environment))],
    environment,
    workingDirectory,
    command: command.map((word) => expand(word, environment)),
  };
}

function user(container: V1Container, pod: V1Pod, image: Image): { uid: number; gid: number } {
  const own = container.securityContext;
  const shared = pod.spec?.securityContext;
  const uid = own?.runAsUser ?? shared?.runAsUser ?? image.user ?? 0;
  if ((own?.runAsNonRoot ?? shared?.runAsNonRoot) && uid === 0) {
    throw new ContainerConfigError("container has runAsNonRoot and image will run as root");
  }
  const added = own?.capabilities?.add ?? [];
  // A capability would hold in the container's own user namespace alone, and do less than the Pod relies on.
  if (own?.privileged || added.some((name) => name !== "NET_BIND_SERVICE")) {
    throw new ContainerConfigError(
      "privileged containers and added capabilities are refused by the sandbox's kubelet (NET_BIND_SERVICE is not needed)",
    );
  }
  return { uid, gid: own?.runAsGroup ?? shared?.runAsGroup ?? 0 };
}

async function volumeMounts(
  options: ContainerRootOptions,
  environment: ReadonlyMap<string, string>,
): Promise<Mount[]> {
  const readOnlyVolumes = new Set(
    (options.facts.pod.spec?.volumes ?? []).filter((volume) => !volume.emptyDir).map((volume) => volume.name),
  );
  const mounts: Mount[] = [];
  for (const mount of options.container.volumeMounts ?? []) {
    const volume = options.volumes.get(mount.name);
    if (volume === undefined) throw new ContainerConfigError(`volume "${mount.name}" is not in the Pod`);
    const subPath = mount.subPathExpr ? expand(mount.subPathExpr, environment) : mount.subPath;
    const from = subPath ? await resolveSubPath(volume, subPath, readOnlyVolumes.has(mount.name)) : volume;
    // What the API server fills is read-only in every container, whatever the mount says.
    mounts.push({
      from,
      to: mount.mountPath,
      readOnly: mount.readOnly === true || readOnlyVolumes.has(mount.name),
    });
  }
  return mounts;
}

/** A path inside a volume; made as a folder when an emptyDir lacks it. It must not lead out of the volume. */
async function resolveSubPath(volume: string, subPath: string, readOnly: boolean): Promise<string> {
  const wanted = join(volume, subPath);
  const outside = new ContainerConfigError(`subPath "${subPath}" leads out of its volume`);
  if (wanted !== volume && !wanted.startsWith(volume + sep)) throw outside;
  if (!readOnly && !(await stat(wanted).catch(() => undefined))) await mkdir(wanted, { recursive: true });
  const real = await realpath(wanted).catch(() => undefined);
  if (real === undefined) throw new ContainerConfigError(`subPath "${subPath}" does not exist in its volume`);
  const root = await realpath(volume);
  if (real !== root && !real.startsWith(root + sep)) throw outside;
  return real;
}
