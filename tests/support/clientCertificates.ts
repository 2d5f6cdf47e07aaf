import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CertificateAuthority,
  type CertificateFiles,
  type CertificateSubject,
} from "../../sandbox/controlPlane/certificates";

/** A certificate and its key as text. */
export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Certificates for both ends of the OTLP port, made by `openssl`. */
export class TestCertificates {
  private serial = 0;

  private constructor(
    readonly directory: string,
    private readonly authority: CertificateAuthority,
  ) {}

  static async create(): Promise<TestCertificates> {
    const directory = mkdtempSync(join(tmpdir(), "vpsight-certificates-"));
    return new TestCertificates(directory, await CertificateAuthority.create(directory, "test authority"));
  }

  get authorityText(): Buffer {
    return readFileSync(this.authority.certificate);
  }

  async issue(subject: CertificateSubject): Promise<KeyPair> {
    return read(await this.authority.issue(`certificate-${this.serial++}`, subject));
  }

  /** A client's certificate that ended in 2020: `openssl req` makes none, `openssl ca` does. */
  async issueExpired(name: string): Promise<KeyPair> {
    const path = (file: string) => join(this.directory, file);
    const valid = await this.authority.issue("expired", {
      commonName: name,
      alternativeNames: [name],
      usage: "client",
    });
    writeFileSync(
      path("ca.cnf"),
      `[ca]\ndefault_ca=own\n[own]\ndatabase=${path("index.txt")}\nnew_certs_dir=${this.directory}\nserial=${path("serial")}\n` +
        `default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n` +
        `[client]\nextendedKeyUsage=clientAuth\nsubjectAltName=DNS:${name}\n`,
    );
    writeFileSync(path("index.txt"), "");
    writeFileSync(path("serial"), "01");
    const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "pipe" });
    openssl("req", "-new", "-key", valid.key, "-subj", `/CN=${name}`, "-out", path("expired.csr"));
    openssl(
      ...["ca", "-batch", "-notext", "-config", path("ca.cnf"), "-extensions", "client"],
      ...["-cert", this.authority.certificate, "-keyfile", path("ca.key"), "-in", path("expired.csr")],
      ...["-startdate", "20200101000000Z", "-enddate", "20200102000000Z", "-out", valid.certificate],
    );
    return read(valid);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}

/** The three files as a Secret's volume shows them. */
export class ServerFiles {
  readonly directory = mkdtempSync(join(tmpdir(), "vpsight-server-files-"));
  readonly certificate = join(this.directory, "tls.crt");
  readonly key = join(this.directory, "tls.key");
  readonly clientAuthority = join(this.directory, "ca.crt");

  constructor(pair: KeyPair, clientAuthority: Buffer) {
    this.write(pair, clientAuthority);
  }

  write({ cert, key }: KeyPair, clientAuthority: Buffer): void {
    writeFileSync(this.certificate, cert);
    writeFileSync(this.key, key);
    writeFileSync(this.clientAuthority, clientAuthority);
  }

  get flags(): string[] {
    return [
      `--otlp-tls-certificate-file=${this.certificate}`,
      `--otlp-tls-key-file=${this.key}`,
      `--otlp-tls-client-ca-file=${this.clientAuthority}`,
    ];
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}

function read({ certificate, key }: CertificateFiles): KeyPair {
  return { cert: readFileSync(certificate), key: readFileSync(key) };
}
