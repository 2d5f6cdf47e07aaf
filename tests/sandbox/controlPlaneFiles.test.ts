/** Keys, certificates and definitions. That the real parts accept them is shown by tests/mesh. */
import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { distinguishedName } from "../../sandbox/controlPlane/certificates";
import { readDefinitions, splitDefinitions } from "../../sandbox/controlPlane/definitions";
import {
  makeKubeConfig,
  writeControlPlaneFiles,
  writeKubeConfig,
  type ControlPlaneFiles,
} from "../../sandbox/controlPlane/files";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "plane-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe("the control plane's files", () => {
  let files: ControlPlaneFiles;
  const certificate = async (file: string) => new X509Certificate(await readFile(file));

  beforeAll(async () => {
    files = await writeControlPlaneFiles(directory);
  });

  it("hold a server certificate for every address the API server is reached at", async () => {
    const server = await certificate(files.server.certificate);
    expect(server.verify((await certificate(files.authority)).publicKey)).toBe(true);
    expect(server.ca).toBe(false);
    for (const address of ["127.0.0.1", "10.244.0.1", "10.96.0.1"])
      expect(server.checkIP(address)).toBe(address);
    expect(server.checkHost("kubernetes.default.svc")).toBe("kubernetes.default.svc");
    expect(server.checkHost("example.com")).toBeUndefined();
    // extendedKeyUsage: TLS server, and not client.
    expect(server.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  });

  it("hold a client certificate of its own for each client, administrators only where it must be", async () => {
    const subjects = await Promise.all(
      Object.entries(files.clients).map(async ([name, client]) => {
        const { subject, keyUsage } = await certificate(client.certificate);
        return [name, subject.split("\n").toSorted(), keyUsage];
      }),
    );
    const clientUsage = ["1.3.6.1.5.5.7.3.2"];
    expect(subjects).toEqual([
      ["admin", ["CN=sandbox-admin", "O=system:masters"], clientUsage],
      ["controller-manager", ["CN=system:kube-controller-manager"], clientUsage],
      ["scheduler", ["CN=system:kube-scheduler"], clientUsage],
      ["istiod", ["CN=istiod", "O=system:masters"], clientUsage],
      ["prometheus-operator", ["CN=prometheus-operator", "O=system:masters"], clientUsage],
    ]);
  });

  it("hold a kubeconfig that stands alone, for any address, for its owner's eyes", async () => {
    const file = join(directory, "host.kubeconfig");
    const server = "https://127.0.0.1:40001";
    await writeKubeConfig(file, await makeKubeConfig(files.authorityText, files.clients.admin, server));
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const loaded = new KubeConfig();
    loaded.loadFromFile(file);
    expect(loaded.getCurrentCluster()?.server).toBe(server);
    const pem = (text: string | undefined) => Buffer.from(text ?? "", "base64").toString();
    expect(pem(loaded.getCurrentCluster()?.caData)).toBe(files.authorityText);
    expect(pem(loaded.getCurrentUser()?.keyData)).toBe(await readFile(files.clients.admin.key, "utf8"));
  });

  it("keep private keys private", async () => {
    for (const key of [files.server.key, files.clients.admin.key, files.serviceAccountKeys.privateKey]) {
      expect((await stat(key)).mode & 0o077).toBe(0);
    }
  });
});

describe("a certificate's subject", () => {
  it("keeps slashes of a name apart from the separator", () => {
    expect(distinguishedName({ commonName: "a/CN=admin", organization: "x+y" })).toBe(
      "/O=x\\+y/CN=a\\/CN=admin",
    );
  });
});

describe("definitions", () => {
  const definition = (name: string) =>
    `apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  annotations: {}\n  name: ${name}\nspec:\n  names:\n    kind: X\n`;

  it("are split by text, comments and other kinds left out", () => {
    const text = `# generated\n---\n${definition("a.example.com")}---\n${definition('"b.example.com"')}---\nkind: ConfigMap\nmetadata:\n  name: c\n`;
    const split = splitDefinitions(text);
    expect(split.map(({ name }) => name)).toEqual(["a.example.com", "b.example.com"]);
    expect(split[0]?.text.trim()).toBe(definition("a.example.com").trim());
  });

  it("come from a file or from every YAML file of a directory", async () => {
    const folder = await mkdtemp(join(directory, "definitions-"));
    await writeFile(join(folder, "a.yaml"), definition("a.example.com"));
    await writeFile(join(folder, "b.yml"), definition("b.example.com"));
    await writeFile(join(folder, "README.md"), definition("c.example.com"));
    expect((await readDefinitions(folder)).map(({ name }) => name).toSorted()).toEqual([
      "a.example.com",
      "b.example.com",
    ]);
    expect((await readDefinitions(join(folder, "a.yaml"))).map(({ name }) => name)).toEqual([
      "a.example.com",
    ]);
  });
});
