import { describe, expect, it } from "vitest";
import { CaptureError } from "./capture-error.js";
import { parseCapture } from "./parse.js";
import { HEX_LAPTOP, LAPTOP } from "./testing.js";

/** As mail programs fold: at the last space before the column. */
function wrapped(text: string, columns: number): string {
  const fold = (line: string): string => {
    const space = line.lastIndexOf(" ", columns);
    return line.length <= columns || space < columns / 2
      ? line
      : `${line.slice(0, space)}\n${fold(line.slice(space + 1))}`;
  };
  const expanded = text.replaceAll("\t", " ".repeat(8));
  return expanded.split("\n").map(fold).join("\n");
}

const quoted = (text: string, mark: string): string => text.replaceAll(/^/gm, mark);
/** As mail programs send what has long lines or `=` in it. */
const printable = (text: string): string =>
  text.replaceAll("=", "=3D").replaceAll(/[^\n]{70}(?=[^\n])(?<!=|=3)/g, "$&=\n");

describe.each([
  ["lspci -vvv", LAPTOP],
  ["lspci -vvvxxxx", `${HEX_LAPTOP}\n\n`],
])("%s means the same", (_name, text) => {
  const plain = parseCapture(text, "plain");

  it.each([
    ["with CRLF", text.replaceAll("\n", "\r\n")],
    ["with CR", text.replaceAll("\n", "\r")],
    ["quoted once", quoted(text, "> ")],
    ["quoted twice", quoted(text, "> > ")],
    ["quoted with bars", quoted(text, "| ")],
    ["without indentation", text.replaceAll(/^\s+(?=\S)/gm, "")],
    ["with spaces for tabs", text.replaceAll("\t", "        ")],
    ["folded at 76 columns", wrapped(text, 76)],
    ["folded at 72 columns and quoted", quoted(wrapped(text, 72), "> ")],
    ["quoted, then folded", wrapped(quoted(text, "> > "), 76)],
    ["twice in one file", `${text}\n${text}`],
    ["after a prompt, in a fence", `Hi, here it is:\n\n\`\`\`\n$ sudo lspci -vvv\n${text}\n\`\`\`\nThanks!\n\n`],
    ["with domains", text.replaceAll(/^(?=[0-9a-f]{2}:[0-9a-f]{2}\.\d )/gm, "0000:")],
    [
      "with lspci's own complaints",
      text.replaceAll(/\n(?=\n)/g, "\nlspci: Unable to load libkmod resources: error -2\n"),
    ],
  ])("%s", (_how, mangled) => {
    const capture = parseCapture(mangled, "plain");
    expect(capture.functions).toEqual(plain.functions);
    expect(capture.skipped).toEqual(plain.skipped);
    expect(capture.host).toEqual(plain.host);
  });
});

it("quoted-printable mail is undone", () => {
  const source = printable(LAPTOP);
  expect(source).toContain("primary=3D00");
  expect(parseCapture(source, "plain").functions.map((fn) => fn.bridge)).toEqual(
    parseCapture(LAPTOP, "plain").functions.map((fn) => fn.bridge),
  );
});

describe("a text that is cut", () => {
  const whole = parseCapture(LAPTOP, "cut");
  const cuts = Array.from({ length: 150 }, (_, i) => 2000 + i * 719).filter((at) => at < LAPTOP.length);

  it.each(cuts)("after %i bytes has no number that the whole one has not, and says that it is cut", (bytes) => {
    const capture = parseCapture(LAPTOP.slice(0, bytes), "cut");
    for (const fn of capture.functions) {
      const full = whole.functions.find((f) => f.address === fn.address);
      for (const bar of fn.bars) expect(full?.bars).toContainEqual(bar);
      for (const window of fn.bridge?.windows ?? []) expect(full?.bridge?.windows).toContainEqual(window);
      if (fn.acs !== "unknown") expect(fn.acs).toEqual(full?.acs);
      if (fn.driver !== null) expect(fn.driver).toBe(full?.driver);
    }
    const last = capture.functions.at(-1)?.address;
    const says = capture.skipped.length > 0 || capture.unknown.some((u) => u.what === `what else is in ${last}`);
    const isWhole = LAPTOP.slice(0, bytes).endsWith("\n\n") || /\tKernel [^\n]+\n$/.test(LAPTOP.slice(0, bytes));
    expect(says || isWhole).toBe(true);
  });

  it.each([
    ["a window's end", "Memory behind bridge: 8f000000-900f", "0000:00:01.0"],
    ["a window's beginning", "Prefetchable memory behind bridge: 6050000000-6061ffffff [si", "0000:00:01.0"],
    ["bus numbers", "Bus: primary=00, secondary=01, subordinate=0", "0000:00:01.0"],
    ["a driver's name", "Kernel driver in use: pciep", "0000:00:01.0"],
    ["a group", "IOMMU group: 1", "0000:00:00.0"],
  ])("in the middle of %s does not take what is left for the whole", (_what, line, address) => {
    const text = LAPTOP.slice(0, LAPTOP.indexOf(line) + line.length);
    const { functions, skipped } = parseCapture(text, "cut");
    const [fn, full] = [functions, whole.functions].map((all) => all.find((f) => f.address === address));
    for (const window of fn?.bridge?.windows ?? []) expect(full?.bridge?.windows).toContainEqual(window);
    expect([null, full?.driver]).toContain(fn?.driver);
    expect(fn?.iommuGroup === null || address === "0000:00:01.0").toBe(true);
    expect(skipped).toEqual([expect.objectContaining({ text: expect.stringContaining(line.slice(0, 20)) as string })]);
  });

  it("after its first line is refused", () => {
    expect(() => parseCapture(`${LAPTOP.split("\n")[0]}\n`, "cut")).toThrow(CaptureError);
  });

  it("names a bridge that was cut off", () => {
    const from = LAPTOP.indexOf("\n04:00.0 ");
    const { unknown, functions } = parseCapture(LAPTOP.slice(from), "cut");
    expect(functions[0]?.address).toBe("0000:04:00.0");
    expect(unknown.map((u) => u.what)).toContain("the bridge above bus 0000:04");
  });
});
