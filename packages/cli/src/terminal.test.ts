import { describe, expect, it } from "vitest";
import { progress } from "./progress.js";
import { columnsOf, hasColour } from "./terminal.js";
import { ioOf } from "./testing.js";
import { beside, wrap } from "./text.js";

const terminal = { isTTY: true, columns: 137 };

it.each([
  [terminal, {}, 137],
  [terminal, { COLUMNS: "80" }, 137],
  [{}, {}, 100],
  [{}, { COLUMNS: "80" }, 80],
  [{}, { COLUMNS: "wide" }, 100],
])("%j with %j is %d columns wide", (stream, env, columns) => expect(columnsOf(stream, env)).toBe(columns));

it.each([
  [terminal, {}, true],
  [{}, {}, false],
  [terminal, { NO_COLOR: "1" }, false],
  [terminal, { NO_COLOR: "" }, true],
  [terminal, { TERM: "dumb" }, false],
  [{}, { FORCE_COLOR: "1" }, true],
  [{}, { FORCE_COLOR: "" }, true],
  [terminal, { FORCE_COLOR: "0" }, false],
  [terminal, { FORCE_COLOR: "1", NO_COLOR: "1" }, true],
])("%j with %j: colour is %s", (stream, env, colour) => expect(hasColour(stream, env)).toBe(colour));

describe("the bar", () => {
  const drawn = (progressColumns?: number): string => {
    let text = "";
    const bar = progress({
      ...ioOf(80),
      err: (t) => void (text += t),
      ...(progressColumns === undefined ? {} : { progressColumns }),
    });
    for (let i = 1; i <= 1000; i++) bar.at(i, 1000, "S34c pfn");
    bar.end();
    return text;
  };

  it("is drawn once a percent, in its line, which is left empty", () => {
    const lines = drawn(60).split("\r").slice(1);
    expect(lines).toHaveLength(102);
    expect(Math.max(...lines.map((l) => l.replace("\u001B[K", "").length))).toBeLessThan(60);
    expect([lines[50], lines.at(-1)]).toEqual([
      `[${"#".repeat(12)}${".".repeat(12)}] 500/1000 S34c pfn\u001B[K`,
      "\u001B[K",
    ]);
  });

  it("is not there where nobody looks", () => expect(drawn()).toBe(""));
});

describe("text", () => {
  it("wraps without losing a word, and breaks one that is too long", () => {
    expect(wrap("aa bb cc", 5)).toEqual(["aa bb", "cc"]);
    expect(wrap("abcdefgh", 3)).toEqual(["abc", "def", "gh"]);
  });

  it("goes on beside its label", () => expect(beside("x: ", "aa bb cc", 8)).toEqual(["x: aa bb", "   cc"]));
});
