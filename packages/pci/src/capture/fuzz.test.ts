/** Whatever comes in, a capture comes out, or a CaptureError; and no address that was not in it. */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, it, vi } from "vitest";
import { parseCapture } from "../node.js";
import type { Capture } from "./capture.js";
import { CaptureError } from "./capture-error.js";
import { captureFromJson, captureToJson } from "./json.js";
import { configBytes, hexRows, LAPTOP, tarOf } from "./testing.js";

// Long enough for a machine that does other work.
vi.setConfig({ testTimeout: 60_000 });

/** Three functions: a root port with ACS, a switch port, a GPU. */
const TEXT = ["00:1b.0", "03:00.0", "01:00.0"].map((address) => blockOf(address)).join("\n");
const JSON_TEXT = captureToJson(parseCapture(TEXT, "small"));
const TAR = tarOf([
  { name: "sys/devices/pci0000:00/0000:00:01.0/class", text: "0x060400\n" },
  { name: "sys/devices/pci0000:00/0000:00:01.0/resource", text: "0x1000 0x1fff 0x200\n".repeat(17) },
  { name: "sys/devices/pci0000:00/0000:00:01.0/driver", type: "2", link: "../../../bus/pci/drivers/x" },
  { name: "sys/bus/pci/devices/0000:00:01.0", type: "2", link: "../../../devices/pci0000:00/0000:00:01.0" },
]);

function blockOf(address: string): string {
  const from = LAPTOP.indexOf(`\n${address} `);
  return LAPTOP.slice(from + 1, LAPTOP.indexOf("\n\n", from) + 1);
}

function read(input: Uint8Array | string): Capture | null {
  try {
    return parseCapture(input, "fuzz");
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    return null;
  }
}

function expectNoInvention(input: string): void {
  const digits = input.toLowerCase();
  for (const fn of read(input)?.functions ?? [])
    for (const bar of [...fn.bars, ...fn.unsizedBars]) expect(digits).toContain(bar.base.toString(16));
}

/** Some cuts, repetitions and replacements of `whole`. */
function mutated(whole: string): fc.Arbitrary<string> {
  const piece = fc.oneof(
    fc.constantFrom(
      "",
      "\n",
      " ",
      "\t",
      "> ",
      ": ",
      "[",
      "-",
      "0",
      "f",
      "[size=1M]",
      "\r\n",
      '"',
      "{",
      "null",
      "[disabled]",
    ),
    fc.string({ maxLength: 8 }),
    fc.nat(whole.length - 1).map((at) => whole.slice(at, at + 200)),
  );
  const edit = fc.record({ at: fc.nat(whole.length), length: fc.nat(60), piece });
  return fc
    .array(edit, { minLength: 1, maxLength: 6 })
    .map((edits) =>
      edits.reduce((text, { at, length, piece: p }) => text.slice(0, at) + p + text.slice(at + length), whole),
    );
}

/** `null`: the property held. */
function failureOf<T>(property: fc.IProperty<T>, numRuns: number): string | null {
  const details = fc.check(property, { numRuns });
  return details.failed ? (fc.defaultReportMessage(details) ?? "failed") : null;
}

it("bytes of any kind", () => {
  const magic = fc.constantFrom("", "\x1f\x8b\x08", "BZh91AY&SY", "{", "\xff\xfe", "00:00.0 X: Y\n00: ");
  expect(
    failureOf(
      fc.property(magic, fc.uint8Array({ maxLength: 1500 }), (head, tail) => {
        read(Buffer.concat([Buffer.from(head, "latin1"), tail]));
      }),
      2000,
    ),
  ).toBeNull();
});

it("lines of lspci in any order", () => {
  const lines = fc.constantFrom(
    ...TEXT.split("\n"),
    "",
    "10000:e0:06.0 0604: 8086:9a09",
    "\tBus: primary=00, secondary=00",
  );
  expect(
    failureOf(
      fc.property(fc.array(lines, { maxLength: 60 }), (chosen) => expectNoInvention(chosen.join("\n"))),
      2500,
    ),
  ).toBeNull();
});

it("a capture that was edited", () => {
  expect(failureOf(fc.property(mutated(TEXT), expectNoInvention), 2500)).toBeNull();
});

it("JSON that was edited", () => {
  expect(failureOf(fc.property(mutated(JSON_TEXT), expectNoInvention), 1500)).toBeNull();
});

it("JSON in which one value was replaced", () => {
  const paths = [...JSON_TEXT.matchAll(/: (?:"[^"]*"|-?\d+|true|false|null)/g)].map(
    (m) => [m.index, m[0].length] as const,
  );
  expect(
    failureOf(
      fc.property(fc.constantFrom(...paths), fc.jsonValue({ maxDepth: 2 }), ([at, length], value) => {
        const text = `${JSON_TEXT.slice(0, at)}: ${JSON.stringify(value)}${JSON_TEXT.slice(at + length)}`;
        const capture = read(text);
        if (capture) expect(captureFromJson(captureToJson(capture))).toEqual(capture);
      }),
      1000,
    ),
  ).toBeNull();
});

it("an archive that was edited", () => {
  const edit = fc.record({ at: fc.nat(TAR.length - 1), byte: fc.nat(255) });
  expect(
    failureOf(
      fc.property(
        fc.array(edit, { minLength: 1, maxLength: 8 }),
        fc.nat(TAR.length),
        fc.boolean(),
        (edits, length, packed) => {
          const bytes = Uint8Array.from(TAR);
          for (const { at, byte } of edits) bytes[at] = byte;
          const cut = length % 4 === 0 ? bytes.subarray(0, length) : bytes;
          read(packed ? gzipSync(cut) : cut);
        },
      ),
      1500,
    ),
  ).toBeNull();
});

it("configuration space of any content", () => {
  const registers = fc.dictionary(
    fc.nat(511).map((n) => String(2 * n)),
    fc.nat(0xffff),
    { maxKeys: 40 },
  );
  expect(
    failureOf(
      fc.property(registers, fc.constantFrom(64, 256, 1024), (values, sizeBytes) => {
        const kept = Object.fromEntries(Object.entries(values).filter(([at]) => Number(at) < sizeBytes));
        read(`00:00.0 Host bridge: X\n${hexRows(configBytes(sizeBytes, { 6: 0x10, 0x34: 0x40, ...kept }))}\n`);
      }),
      1000,
    ),
  ).toBeNull();
});
