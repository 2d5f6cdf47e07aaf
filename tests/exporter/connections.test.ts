import { Connections } from "../../exporter/connections";

const names = (connections: Connections<Fake>) => [...connections.all].map(({ name }) => name);

class Fake {
  ended = false;

  constructor(readonly name: string) {}

  destroy(): void {
    this.ended = true;
  }
}

test("a thousand connections that only stand there crowd out each other, never one that brings messages", () => {
  const connections = new Connections<Fake>(3, 10_000);
  const gateway = new Fake("gateway");
  connections.add(gateway, 0);
  connections.noteMessage(gateway, 1);
  const idle = Array.from({ length: 1_000 }, (_, index) => new Fake(`idle-${index}`));
  idle.forEach((connection, index) => connections.add(connection, 2 + index));
  expect(names(connections)).toEqual(["gateway", "idle-998", "idle-999"]);
  expect([gateway.ended, idle[997]?.ended, idle[998]?.ended]).toEqual([false, true, false]);
});

test("when all bring messages, the one that did so least recently goes, and a new one gets in", () => {
  const connections = new Connections<Fake>(2, 10_000);
  const [first, second, third] = [new Fake("first"), new Fake("second"), new Fake("third")];
  for (const connection of [first, second]) connections.add(connection, 0);
  for (const connection of [second, first]) connections.noteMessage(connection, 1);
  connections.add(third, 2);
  expect(names(connections)).toEqual(["first", "third"]);
});

test("who brings no message in time goes; who did, or left, is let be", () => {
  const connections = new Connections<Fake>(9, 10_000);
  const [proven, left, late, young] = [
    new Fake("proven"),
    new Fake("left"),
    new Fake("late"),
    new Fake("young"),
  ];
  for (const connection of [proven, left, late]) connections.add(connection, 0);
  connections.noteMessage(proven, 5);
  connections.remove(left);
  connections.noteMessage(left, 6);
  connections.add(young, 5_000);
  connections.endIdle(10_000);
  expect([proven, left, late, young].map(({ ended }) => ended)).toEqual([false, false, true, false]);
  expect(names(connections)).toEqual(["proven", "young"]);
});
