import { Calls } from "../../exporter/receive/calls";
import { limits } from "../../exporter/receive/limits";

class FakeCall {
  isOver = false;
  failure: string | undefined;
  reset = false;

  constructor(public heldBytes = 0) {}

  fail({ message }: Error): void {
    [this.isOver, this.failure, this.heldBytes] = [true, message, 0];
  }

  destroy(): void {
    this.reset = true;
  }
}

function create(count: number, calls: Calls, heldBytes = 0): FakeCall[] {
  return Array.from({ length: count }, (_, index) => {
    const call = new FakeCall(heldBytes);
    calls.add(call, call, index);
    return call;
  });
}

test("one call too many resets the oldest, whether it was answered or not", () => {
  const calls = new Calls();
  const [first, second, third] = create(limits.calls, calls);
  if (first !== undefined) first.isOver = true;
  create(2, calls);
  expect([first, second, third].map((call) => call?.reset)).toEqual([true, true, false]);
  if (third !== undefined) calls.remove(third);
  const [last] = create(1, calls);
  expect([third?.reset, last?.reset]).toEqual([false, false]);
});

test("a slow call fails, and is reset when its sender does not take that answer either", () => {
  const calls = new Calls();
  const [slow] = create(1, calls);
  calls.endSlow(limits.callMilliseconds - 1);
  expect(slow?.failure).toBeUndefined();
  calls.endSlow(limits.callMilliseconds);
  expect([slow?.failure, slow?.reset]).toEqual(["the message took too long", false]);
  calls.endSlow(limits.callMilliseconds + 1_000);
  expect(slow?.reset).toBe(true);
});

test("too many bytes under way: the oldest that holds any fails", () => {
  const calls = new Calls();
  const [empty] = create(1, calls);
  const [first, second] = create(2, calls, 100);
  calls.held.exceeded();
  expect([empty, first, second].map((call) => call?.isOver)).toEqual([false, true, false]);
  calls.held.exceeded();
  expect(second?.failure).toBe("too much is under way; try again");
});
