import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { Plugin } from "esbuild";
import { build, transform } from "esbuild";

/**
 * Most bytes that the bundle may have. It travels in a ConfigMap, whose whole object may have 1 MiB; the
 * rest is room for names, annotations and what JSON adds for quoting.
 */
export const maxBundleBytes = 700_000;

/** The bundle does not fit. */
export class BundleSizeError extends Error {
  override readonly name = "BundleSizeError";
}

/**
 * Bundles the exporter into one CommonJS file that stock Node runs as it is: `node exporter.cjs --inventory-file …`.
 * The same sources give the same text.
 * @param limit most bytes that are allowed; default `maxBundleBytes`.
 * @returns the file's text.
 * @throws BundleSizeError when it is larger.
 */
export async function bundleExporter(limit: number = maxBundleBytes): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(__dirname, "main.ts")],
    write: false,
    bundle: true,
    platform: "node",
    target: "node22",
    format: "cjs",
    minifyWhitespace: true,
    minifySyntax: true,
    // Our own names stay, so that stack traces can be read; see `shortenLibraryNames`.
    minifyIdentifiers: false,
    legalComments: "eof",
    logLevel: "error",
    plugins: [leaveOutProtoLoader, shortenLibraryNames],
  });
  const text = outputFiles.map((file) => file.text).join("");
  const bytes = Buffer.byteLength(text);
  if (bytes > limit) {
    throw new BundleSizeError(
      `The exporter's bundle has ${bytes} bytes; at most ${limit} fit a ConfigMap with safety. ` +
        "Take out a dependency, or set exporter.image and run it from an image of your own.",
    );
  }
  return text;
}

/**
 * Writes the bundle to a file, whose folder is made when it is not there.
 * @returns the file's size in bytes.
 * @throws BundleSizeError as `bundleExporter` does; no file is written then.
 */
export async function buildExporter(outfile: string): Promise<number> {
  const text = await bundleExporter();
  await mkdir(dirname(outfile), { recursive: true });
  await writeFile(outfile, text);
  return Buffer.byteLength(text);
}

/** grpc-js loads .proto files with it, for channelz and load reports only; both are off here. */
const leaveOutProtoLoader: Plugin = {
  name: "leave out @grpc/proto-loader",
  setup: (builder) => {
    builder.onResolve({ filter: /^@grpc\/proto-loader$/ }, ({ path }) => ({ path, namespace: "left-out" }));
    builder.onLoad({ filter: /.*/, namespace: "left-out" }, () => ({ contents: "module.exports = {};" }));
  },
};

/**
 * Shortens the local names of libraries, which saves a fifth of the bundle. esbuild by itself can shorten
 * all names or none, and its `keepNames` gives functions their names back at a cost for each closure made.
 */
const shortenLibraryNames: Plugin = {
  name: "shorten library names",
  setup: (builder) => {
    builder.onLoad({ filter: /[\\/]node_modules[\\/].*\.[cm]?js$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const format = /^(import|export)\b/m.test(source) ? "esm" : "cjs";
      const { code } = await transform(source, {
        minifyIdentifiers: true,
        format,
        target: "node22",
        legalComments: "inline",
      });
      return { contents: code };
    });
  },
};

/** Where `node --import tsx exporter/build.ts` puts the bundle unless told otherwise. */
const defaultOutfile = join(__dirname, "dist", "exporter.cjs");

async function main(outfile: string): Promise<void> {
  try {
    const bytes = await buildExporter(outfile);
    console.log(`${relative(process.cwd(), outfile)}: ${bytes} bytes`);
  } catch (error) {
    if (!(error instanceof BundleSizeError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

if (require.main === module) void main(process.argv[2] ?? defaultOutfile);
