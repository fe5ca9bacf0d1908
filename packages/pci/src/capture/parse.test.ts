import { describe, expect, it } from "vitest";
import { CaptureError } from "./capture-error.js";
import { parseCapture } from "./parse.js";
import { LAPTOP, machine } from "./testing.js";

const plain = parseCapture(LAPTOP, "laptop");

describe("text in the encodings that hosts write", () => {
  const utf16 = Buffer.from(`\uFEFF${LAPTOP}`, "utf16le");

  it.each([
    ["UTF-8", Buffer.from(LAPTOP)],
    ["UTF-8 with a mark", Buffer.from(`\uFEFF${LAPTOP}`)],
    ["UTF-16, as PowerShell redirects", utf16],
    ["UTF-16, the other way round", Buffer.from(utf16).swap16()],
    ["a string", LAPTOP],
  ])("%s", (_how, bytes) => expect(parseCapture(bytes, "laptop").functions).toEqual(plain.functions));

  it("Latin-1: one letter of a name", () => {
    const bytes = Buffer.from(
      "00:02.0 VGA compatible controller: Müller\n\tControl: I/O+ Mem+ BusMaster+\n\n",
      "latin1",
    );
    expect(parseCapture(bytes, "x").functions[0]?.name).toBe("Müller");
  });
});

it.each([
  ["bzip2", machine("server-2socket-2gpu.sysfs.tar.bz2")],
  ["gzip", Buffer.from("\x1f\x8b\x08", "latin1")],
])("without Node, %s is named as what it is", (_what, bytes) => {
  expect(() => parseCapture(bytes, "x")).toThrow(CaptureError);
  expect(() => parseCapture(bytes, "x")).toThrow(/this is an archive\. Read it with @dma-buf\/pci\/node/);
});
