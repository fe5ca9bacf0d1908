import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { checkTraceFile, reportKind } from "./report-file.js";
import { save } from "./save.js";

const dir = mkdtempSync(join(tmpdir(), "dma-buf-save-"));
afterAll(() => rmSync(dir, { recursive: true }));

it("replaces a file once the new one is whole, and leaves nothing beside it", () => {
  const file = join(dir, "x.txt");
  save(file, "old");
  save(file, "new");
  expect([readFileSync(file, "utf8"), readdirSync(dir)]).toEqual(["new", ["x.txt"]]);
});

it("that cannot be written leaves nothing", () => {
  const sub = join(dir, "taken.txt");
  mkdirSync(sub);
  expect(() => save(sub, "text")).toThrow(/taken\.txt: cannot be written/);
  expect(readdirSync(dir)).not.toContain("taken.txt.part");
});

it.each([
  ["x.html", ".html"],
  ["x.md", ".md"],
  ["x.txt", ".txt"],
])("%s is a kind of report", (name, kind) => expect(reportKind(join(dir, name))).toBe(kind));

it.each<[string, () => unknown, RegExp]>([
  [
    "an unknown extension",
    () => reportKind(join(dir, "x.pdf")),
    /nobody writes a report \*\.pdf.*\.html .*\.md .*\.txt /,
  ],
  ["none", () => reportKind(join(dir, "x")), /without an extension/],
  ["no directory", () => reportKind(join(dir, "none/x.md")), /none is no directory/],
  ["a directory", () => (mkdirSync(join(dir, "d.md")), reportKind(join(dir, "d.md"))), /is a directory/],
  ["a trace that is no JSON", () => checkTraceFile(join(dir, "x.txt")), /\*\.json/],
])("%s is refused", (_name, check, message) => expect(check).toThrow(message));
