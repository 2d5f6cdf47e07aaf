import type { SeededRandom } from "../exporter/random";
import type { Node } from "./tree";

/**
 * Breaks one thing in a tree of fields.
 * @returns whether the message is still one that a lawful, if unusual, sender might write.
 */
export function mutateTree(random: SeededRandom, roots: Node[]): boolean {
  const [siblings, index] = pickPlace(random, roots);
  const node = siblings[index];
  if (node === undefined) {
    siblings.push({ number: 1 + random.below(12), wireType: random.below(8), content: random.below(300) });
    return false;
  }
  const { content } = node;
  switch (random.below(15)) {
    case 0:
      node.wireType = random.below(8);
      return false;
    case 1:
      node.lengthError = random.pick([
        -1,
        1,
        -2,
        5,
        127,
        -100,
        2 ** 14,
        2 ** 31 - 1,
        2 ** 32 - 1,
        2 ** 32,
        2 ** 53,
      ]);
      return false;
    case 2:
      node.stretch = 1 + random.below(12);
      return false;
    case 3:
      node.number = random.pick([0, 1, 2, 3, 6, 15, 16, 99, 2 ** 29 - 1, 2 ** 29, 2 ** 40]);
      return false;
    case 4:
      siblings[index] = { number: 1 + random.below(8), wireType: 3, content: [node] };
      return false;
    case 5:
      siblings.splice(index, 0, { number: 1 + random.below(8), wireType: 3 + random.below(2), content: [] });
      return false;
    case 6:
      node.content = random.pick([0, 127, 128, 2 ** 32 - 1, 2 ** 32, 2 ** 53, 2 ** 63, 2 ** 64 - 2048, -1]);
      return false;
    case 7:
      node.content = random.bytes(random.below(40));
      return false;
    case 8:
      nestDeeply(node, random.pick([2, 50, 101, 500]));
      return false;
    case 9:
      siblings.splice(
        index,
        0,
        ...new Array<Node>(random.below(50) === 0 ? 1_000 : 1 + random.below(3)).fill(node),
      );
      // Only what may be repeated may be doubled: protobufjs and the exporter differ on the rest.
      return false;
    case 10:
      siblings.splice(index, 1);
      return true;
    case 11:
      siblings.reverse();
      return false;
    case 12:
      if (Array.isArray(content)) node.content = [];
      return true;
    case 13: {
      const [others, other] = pickPlace(random, roots);
      const stranger = others[other];
      // Not into itself, which would be endless.
      if (stranger !== undefined && stranger !== node && !holds(stranger, node))
        siblings.splice(index, 0, stranger);
      return false;
    }
    default:
      siblings.splice(random.below(siblings.length + 1), 0, {
        number: 12 + random.below(20),
        wireType: 0,
        content: 7,
      });
      return true;
  }
}

/** Breaks bytes, without knowing what they are. */
export function mutateBytes(random: SeededRandom, message: Buffer, other: Buffer): Buffer {
  const at = random.below(message.length + 1);
  const [before, after] = [message.subarray(0, at), message.subarray(at)];
  switch (random.below(8)) {
    case 0:
      return Buffer.concat([before, random.bytes(1), after.subarray(1)]);
    case 1:
      return Buffer.concat([before, Buffer.of(random.pick([0, 1, 0x7f, 0x80, 0xff])), after.subarray(1)]);
    case 2:
      return Buffer.concat([before, Buffer.of((after[0] ?? 0) ^ (1 << random.below(8))), after.subarray(1)]);
    case 3:
      return Buffer.from(before);
    case 4:
      return Buffer.concat([before, after.subarray(random.below(9))]);
    case 5:
      return Buffer.concat([before, random.bytes(random.below(9)), after]);
    case 6:
      return Buffer.concat([before, other.subarray(random.below(other.length + 1))]);
    default:
      return Buffer.concat([message, other]);
  }
}

/** A place in the tree: a list of fields and a position in it, where there may be nothing if the list is empty. */
function pickPlace(random: SeededRandom, roots: Node[]): readonly [Node[], number] {
  let siblings = roots;
  for (;;) {
    const index = random.below(Math.max(1, siblings.length));
    const inner = siblings[index]?.content;
    if (!Array.isArray(inner) || random.below(5) === 0) return [siblings, index];
    siblings = inner;
  }
}

function nestDeeply(node: Node, depth: number): void {
  const { number, wireType } = node;
  let { content } = node;
  for (let level = 0; level < depth; level += 1) content = [{ number, wireType, content }];
  node.content = content;
}

function holds(outer: Node, inner: Node): boolean {
  return Array.isArray(outer.content) && outer.content.some((node) => node === inner || holds(node, inner));
}
