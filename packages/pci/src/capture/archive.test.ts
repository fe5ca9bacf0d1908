import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { type ArchiveLimits, archiveTree, parseCapture } from "../node.js";
import { captureTree } from "./sysfs.js";
import type { CaptureErrorCode } from "./capture-error.js";
import { machine, type TarFile, tarOf } from "./testing.js";
import { textAt } from "./tree.js";

const tree = (files: readonly TarFile[]) => archiveTree(tarOf(files), "a.tar");
const LONG = `${"long/".repeat(60)}name`;

function codeOf(packed: Uint8Array, limits?: ArchiveLimits): CaptureErrorCode | null {
  try {
    archiveTree(packed, "a.tar", limits);
    return null;
  } catch (error) {
    expect(String(error)).toMatch(/^CaptureError: a\.tar: .+\. Pack /);
    return (error as { code: CaptureErrorCode }).code;
  }
}

describe("an archive's tree", () => {
  const files = [
    { name: "./sys/a/file", text: "one\n" },
    { name: "sys/a/empty" },
    { name: "sys/dir/", type: "5" },
    { name: "sys/link", type: "2", link: "a/../a/file" },
    { name: "sys/b/up", type: "2", link: "../a" },
    { name: "sys/absolute", type: "2", link: "/sys/a/file" },
    { name: "sys/hard", type: "1", link: "sys/a/file" },
    { name: "sys/out", type: "2", link: "../../../../etc/passwd" },
    { name: "sys/loop", type: "2", link: "loop" },
    { name: "sys/nowhere", type: "2", link: "gone" },
    { name: "dev/null", type: "3" },
  ];

  it("has files, and directories that no entry names", () => {
    expect(textAt(tree(files), "sys/a/file")).toBe("one");
    expect(tree(files).list("sys/a")).toEqual(["file", "empty"]);
    expect(tree(files).list("")).toEqual(["sys"]);
    expect(tree(files).list("sys/dir/")).toEqual([]);
  });

  it.each(["sys/link", "sys/b/up/file", "sys/absolute", "sys/hard"])("follows %s", (path) => {
    expect(textAt(tree(files), path)).toBe("one");
  });

  it.each(["sys/out", "sys/loop", "sys/nowhere", "sys/a", "dev/null", "../sys/a/file", "gone/../sys/a/file"])(
    "%s is no file",
    (path) => {
      expect(tree(files).read(path)).toBeNull();
    },
  );

  it("says where a link points, and what is none", () => {
    expect([tree(files).link("sys/b/up"), tree(files).link("sys/a"), tree(files).link("")]).toEqual([
      "../a",
      null,
      null,
    ]);
  });

  it("has long names in GNU's way and in POSIX's", () => {
    const pax = (key: string, value: string): string => {
      const rest = ` ${key}=${value}\n`;
      const length = rest.length + String(rest.length + 3).length;
      return `${length}${rest}`;
    };
    const gnu = [
      { name: "././@LongLink", type: "K", text: `${LONG}\0` },
      { name: "././@LongLink", type: "L", text: "a/link\0" },
      { name: "cut", type: "2", link: "cut" },
      { name: "././@LongLink", type: "L", text: `${LONG}\0` },
      { name: "cut", text: "gnu" },
    ];
    expect(tree(gnu).link("a/link")).toBe(LONG);
    expect(textAt(tree(gnu), LONG)).toBe("gnu");
    expect(
      textAt(
        tree([
          { name: "x", type: "x", text: pax("path", LONG) },
          { name: "cut", text: "pax" },
        ]),
        LONG,
      ),
    ).toBe("pax");
  });
});

describe("what GNU tar makes of a directory", () => {
  const dir = mkdtempSync(join(tmpdir(), "tar-"));
  afterAll(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, LONG), { recursive: true });
  writeFileSync(join(dir, LONG, "f".repeat(90)), "deep");
  symlinkSync("x".repeat(150), join(dir, "link"));

  it.each(["gnu", "posix"])("in format %s is read", (format) => {
    const packed = execFileSync("tar", ["-c", `--format=${format}`, "-C", dir, "."]);
    const read = archiveTree(packed, "made.tar");
    expect(textAt(read, `${LONG}/${"f".repeat(90)}`)).toBe("deep");
    expect(read.link("link")).toBe("x".repeat(150));
  });
});

describe("an archive that is refused", () => {
  const good = tarOf([{ name: "sys/a", text: "x".repeat(2000) }]);
  const damaged = Uint8Array.from(good);
  damaged[10] = 0x41;

  it.each([
    ["climbs out", tarOf([{ name: "a/../../etc/passwd" }]), "ARCHIVE_ESCAPE"],
    ["begins at the root", tarOf([{ name: "/etc/passwd" }]), "ARCHIVE_ESCAPE"],
    ["has a damaged header", damaged, "ARCHIVE"],
    ["ends early", good.subarray(0, 1024), "ARCHIVE"],
    ["holds no tar", gzipSync("hello"), "ARCHIVE"],
    ["is no gzip after all", Buffer.from("\x1f\x8b and no more", "latin1"), "ARCHIVE"],
    ["is no bzip2 after all", Buffer.from("BZh9 and no more"), "ARCHIVE"],
    ["is half a bzip2", machine("server-2socket-2gpu.sysfs.tar.bz2").subarray(0, 4000), "ARCHIVE"],
  ] as const)("%s", (_what, packed, code) => expect(codeOf(packed)).toBe(code));

  it.each([
    ["xz", "\xfd7zXZ\0"],
    ["zstd", "\x28\xb5\x2f\xfd"],
    ["zip", "PK\x03\x04"],
  ])("is %s, by name", (kind, magic) => {
    expect(() => parseCapture(Buffer.from(`${magic} and more`, "latin1"), "a")).toThrow(
      `this is a ${kind} archive: pack it with gz or bz2`,
    );
  });

  it.each([
    ["a tar", tarOf([])],
    ["a gzip", gzipSync(tarOf([]))],
    ["a gzip of nothing", gzipSync("")],
  ])("has no entries: %s", (_what, packed) => {
    expect(() => parseCapture(packed, "a")).toThrow(/^a: it has no entries\. Pack/);
  });

  it("has a path or a link longer than any path", () => {
    const long = (type: string) => [
      { name: "././@LongLink", type, text: "a/".repeat(2049) },
      { name: "l", type: "2", link: "x" },
    ];
    expect([codeOf(tarOf(long("K"))), codeOf(tarOf(long("L")))]).toEqual(["ARCHIVE", "ARCHIVE"]);
  });

  it.each([
    ["tar", good],
    ["gzip", gzipSync(good)],
    ["bzip2", machine("server-2socket-2gpu.sysfs.tar.bz2")],
  ])("is too large as %s", (_how, packed) => expect(codeOf(packed, { unpackedBytes: 2047 })).toBe("ARCHIVE_SIZE"));

  it("has too many entries", () => {
    const many = tarOf(["a", "b", "c"].map((name) => ({ name })));
    expect(codeOf(many, { entries: 3 })).toBeNull();
    expect(codeOf(many, { entries: 2 })).toBe("ARCHIVE_SIZE");
  });

  it("stops a bomb long before its end", () => {
    const bomb = gzipSync(Buffer.alloc(64 * 2 ** 20));
    expect(codeOf(bomb, { unpackedBytes: 2 ** 20 })).toBe("ARCHIVE_SIZE");
  });
});

it("links in circles are not searched for a host", () => {
  const links = Array.from({ length: 150 }, (_, i) => ({ name: `l${i}`, type: "2", link: "." }));
  const searched = tree(links);
  let lists = 0;
  const counted = { ...searched, list: (path: string) => (lists++, searched.list(path)) };
  expect(() => captureTree(counted, "a")).toThrow(/neither sys/);
  expect(lists).toBeLessThan(1000);
});

it("gzip holds a capture as bzip2 does", () => {
  const packed = gzipSync(tarOf([{ name: "sys/bus/pci/devices/0000:00:02.0/class", text: "0x030000\n" }]));
  expect(parseCapture(packed, "host.tgz").functions).toMatchObject([{ address: "0000:00:02.0", classCode: 0x030000 }]);
});
