import { gzipSync } from "node:zlib";
import { decompress } from "../../exporter/receive/decompression";
import { limits } from "../../exporter/receive/limits";

test("a few at one time, the others in their turn, and those that nobody waits for not at all", async () => {
  const plain = Buffer.alloc(1_000_000, "x");
  const bytes = gzipSync(plain);
  const count = limits.decompressions * 10;
  let [begun, done, mostAtOnce] = [0, 0, 0];
  await new Promise<void>((resolve) => {
    for (let index = 0; index < count; index += 1) {
      decompress({
        bytes,
        maxOutputLength: plain.length,
        wanted: () => {
          // Every other one was given up.
          if (index % 2 === 1) return false;
          begun += 1;
          mostAtOnce = Math.max(mostAtOnce, begun - done);
          return true;
        },
        done: (error, result) => {
          expect([error, result.length]).toEqual([null, plain.length]);
          done += 1;
          if (done === count / 2) resolve();
        },
      });
    }
  });
  expect(begun).toBe(count / 2);
  // The next one begins before the last one is told to be done.
  expect(mostAtOnce).toBeLessThanOrEqual(limits.decompressions + 1);
});
