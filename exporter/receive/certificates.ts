import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { errorCode, toError } from "../error";

/** Where the receiver's certificates lie, PEM each. */
export interface CertificatePaths {
  /** The receiver's own certificate, with its chain. */
  readonly certificate: string;
  /** Its private key. */
  readonly key: string;
  /** Certificates of the authorities that clients' certificates come from. */
  readonly clientAuthority: string;
}

/** What the files held when they were last right. */
export interface Certificates {
  readonly certificate: Buffer;
  readonly key: Buffer;
  readonly clientAuthority: Buffer;
  /** When the receiver's own certificate expires, in seconds since 1970. */
  readonly expiresSeconds: number;
}

/** Files that cannot be used; the message names them and nothing of what they hold. */
export class CertificateError extends Error {
  override readonly name = "CertificateError";
}

/** Told about what happens to the files. */
export interface CertificateListener {
  /** The files hold something else, and it can be used. */
  changed(certificates: Certificates): void;
  /** The files cannot be used, the last good ones stay in force. Called once for each different failure. */
  failed(error: CertificateError): void;
}

/**
 * The receiver's certificates in files, read again every few seconds, since whoever issues them
 * (cert-manager, for one) renews them while the exporter runs. Read and not watched, for the reason `FileSource` gives.
 */
export class CertificateFiles {
  private timer: NodeJS.Timeout | undefined;
  private failure: string | undefined;
  private listener: CertificateListener | undefined;

  private constructor(
    private readonly paths: CertificatePaths,
    private readonly intervalMilliseconds: number,
    private good: Certificates,
  ) {}

  /**
   * Reads the files for the first time.
   * @param intervalMilliseconds pause between two looks once `watch` was called. Default 5,000.
   * @throws CertificateError
   */
  static async open(paths: CertificatePaths, intervalMilliseconds = 5_000): Promise<CertificateFiles> {
    return new CertificateFiles(paths, intervalMilliseconds, await readCertificates(paths));
  }

  /** The last good ones. */
  get current(): Certificates {
    return this.good;
  }

  watch(listener: CertificateListener): void {
    this.listener = listener;
    this.schedule();
  }

  stop(): void {
    this.listener = undefined;
    clearTimeout(this.timer);
  }

  private schedule(): void {
    if (this.listener !== undefined)
      this.timer = setTimeout(() => void this.look(), this.intervalMilliseconds);
  }

  private async look(): Promise<void> {
    try {
      const found = await readCertificates(this.paths);
      this.failure = undefined;
      if (!isSame(found, this.good)) {
        this.good = found;
        this.listener?.changed(found);
      }
    } catch (error) {
      this.fail(error instanceof CertificateError ? error : new CertificateError(toError(error).message));
    }
    this.schedule();
  }

  private fail(error: CertificateError): void {
    if (error.message !== this.failure) this.listener?.failed(error);
    this.failure = error.message;
  }
}

/**
 * Reads all three and checks that they fit together. A Secret's files are swapped as a whole, but are read one after
 * the other: a pair that does not match is read again at the next look.
 */
async function readCertificates(paths: CertificatePaths): Promise<Certificates> {
  const [certificate, key, clientAuthority] = await Promise.all(
    [paths.certificate, paths.key, paths.clientAuthority].map(readOne),
  );
  if (certificate === undefined || key === undefined || clientAuthority === undefined)
    throw new CertificateError("nothing was read");
  const own = parse(paths.certificate, certificate);
  // Without this, a file without a certificate would leave nobody to trust, and every client refused without a word.
  parse(paths.clientAuthority, clientAuthority);
  try {
    createSecureContext({ cert: certificate, key, ca: clientAuthority });
  } catch (error) {
    throw new CertificateError(`${paths.key} does not fit ${paths.certificate}: ${toError(error).message}`);
  }
  return { certificate, key, clientAuthority, expiresSeconds: own.validToDate.getTime() / 1_000 };
}

async function readOne(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new CertificateError(`${path} cannot be read: ${errorCode(error) ?? toError(error).name}`);
  }
}

function parse(path: string, pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new CertificateError(`${path} holds no PEM certificate`);
  }
}

function isSame(one: Certificates, other: Certificates): boolean {
  return (
    one.certificate.equals(other.certificate) &&
    one.key.equals(other.key) &&
    one.clientAuthority.equals(other.clientAuthority)
  );
}
