import { execFile } from "node:child_process";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { SandboxError } from "../error";

const run = promisify(execFile);

// A run lasts hours; nothing of it is trusted anywhere else.
const validDays = "30";
const configurationFile = "openssl.cnf";

/** A certificate with its private key, as PEM files. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Whom a certificate is for. */
export interface CertificateSubject {
  readonly commonName: string;
  /** Kubernetes reads it as the group. Default: none. */
  readonly organization?: string;
  /** DNS names, addresses and URIs (`spiffe://…`). Default: none. */
  readonly alternativeNames?: readonly string[];
  /** What it may be used for. Default: a server's when it has alternative names, a client's when it has none. */
  readonly usage?: "server" | "client";
}

/**
 * A certificate authority of one run: P-256 keys, made by the `openssl` program (3.0 or newer), because
 * Node.js can make keys but not certificates.
 */
export class CertificateAuthority {
  private constructor(
    private readonly directory: string,
    /** The authority's own certificate, PEM. */
    readonly certificate: string,
    private readonly key: string,
  ) {}

  /**
   * @param directory for keys and certificates; made with mode 0700 when missing.
   * @throws {SandboxError} when `openssl` is missing or too old.
   */
  static async create(directory: string, commonName: string): Promise<CertificateAuthority> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(join(directory, configurationFile), configuration);
    const certificate = join(directory, "ca.crt");
    const key = join(directory, "ca.key");
    await request(
      directory,
      ["-keyout", key, "-out", certificate, "-subj", `/CN=${commonName}`],
      ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"],
    );
    return new CertificateAuthority(directory, certificate, key);
  }

  /** Makes `<name>.crt` and `<name>.key` in the authority's directory. */
  async issue(name: string, subject: CertificateSubject): Promise<CertificateFiles> {
    const files = {
      certificate: join(this.directory, `${name}.crt`),
      key: join(this.directory, `${name}.key`),
    };
    await request(
      this.directory,
      [
        ...[
          "-CA",
          this.certificate,
          "-CAkey",
          this.key,
          "-set_serial",
          `0x${randomUUID().replaceAll("-", "")}`,
        ],
        ...["-keyout", files.key, "-out", files.certificate, "-subj", distinguishedName(subject)],
      ],
      certificateExtensions(subject),
    );
    return files;
  }

  /** The authority's certificate as text. */
  async certificateText(): Promise<string> {
    return readFile(this.certificate, "utf8");
  }
}

/** The `openssl` form of a subject; slashes are kept apart from its own separator. */
export function distinguishedName(subject: CertificateSubject): string {
  const escape = (text: string): string => text.replaceAll(/[\\/+]/g, (character) => `\\${character}`);
  const organization = subject.organization === undefined ? "" : `/O=${escape(subject.organization)}`;
  return `${organization}/CN=${escape(subject.commonName)}`;
}

/** The X.509 extensions of a leaf certificate, as `openssl` writes them. */
export function certificateExtensions(subject: CertificateSubject): string[] {
  const names = subject.alternativeNames ?? [];
  const extensions = [
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    `extendedKeyUsage=${(subject.usage ?? (names.length > 0 ? "server" : "client")) + "Auth"}`,
  ];
  if (names.length > 0) {
    const kind = (name: string) => (name.includes("://") ? "URI" : isIP(name) === 0 ? "DNS" : "IP");
    const entries = names.map((name) => `${kind(name)}:${name}`);
    extensions.push(`subjectAltName=${entries.join(",")}`);
  }
  return extensions;
}

/** Makes the RSA key pair that service-account tokens are signed and checked with. */
export async function makeServiceAccountKeys(
  directory: string,
): Promise<{ publicKey: string; privateKey: string }> {
  const pair = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  const files = {
    publicKey: join(directory, "service-account.pub"),
    privateKey: join(directory, "service-account.key"),
  };
  await writeFile(files.publicKey, pair.publicKey);
  await writeFile(files.privateKey, pair.privateKey, { mode: 0o600 });
  return files;
}

// The machine's own configuration may add extensions, and openssl refuses doubled ones.
const configuration = "[req]\ndistinguished_name=subject\nprompt=no\n[subject]\n";

async function request(
  directory: string,
  args: readonly string[],
  extensions: readonly string[],
): Promise<void> {
  try {
    await run("openssl", [
      ...["req", "-x509", "-config", join(directory, configurationFile)],
      ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", validDays],
      ...args,
      ...extensions.flatMap((extension) => ["-addext", extension]),
    ]);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new SandboxError(
      `\`openssl\` (3.0 or newer, package openssl) could not make a certificate: ${text}`,
    );
  }
}
