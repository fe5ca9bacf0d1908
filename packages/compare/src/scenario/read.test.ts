import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ScenarioError } from "./error.js";
import { readScenario } from "./read.js";
import { parseVerdict, verdictText } from "./verdict-text.js";

const GOOD = `id: X01
title: "A BAR"
question: "Do the bytes arrive?"
source: "nobody"
topology: { base: T1 }
exporter: { kind: vfio-pci }
importers:
  - { kind: nic, class: faulting }
steps:
  - exporter: export
  - nic: { write: { offset: 4 KiB, bytes: 64 } }
  - race:
      one: [nic: read]
      two: [exporter: revoke]
  - answer: { nic: read }
cells:
  pfn:
    conforming: REFUSED(EINVAL@attach)
    blame: contract
    basis: code
`;

const changed = (from: string, to: string): string => {
  expect(GOOD).toContain(from);
  return GOOD.replace(from, to);
};

/** The first mistake of a text: line and column, field, what was expected. */
function mistake(text: string): string {
  try {
    readScenario(text, "x.yaml");
  } catch (error) {
    if (error instanceof ScenarioError) return error.message;
    throw error;
  }
  return "none";
}

describe("a scenario", () => {
  it("is read with its defaults, its actors by their kinds, its sizes in bytes", () => {
    const scenario = readScenario(GOOD, "x.yaml");
    expect(scenario.topology).toEqual({
      base: "T1",
      offset: "zero",
      acs: "clear",
      forwards: "unknown",
      allowlisted: "no",
      iommu: "off",
      flush: "strict",
      modifiers: {},
    });
    expect(scenario.importers.map((i) => i.name)).toEqual(["nic"]);
    expect(scenario.steps[1]).toMatchObject({ actor: "nic", action: "write", args: { offset: 4096, bytes: 64 } });
    expect(scenario.steps[3]).toMatchObject({ actor: "nic", isAnswer: true });
    expect(scenario.cells["pfn"]).toMatchObject({ asPosted: { verdict: "NA" }, conforming: { errno: "EINVAL" } });
  });

  it.each([
    ["no YAML", changed("{ base: T1 }", "{ base: T1"), /^x\.yaml:6:1: the file: YAML: /],
    ["an alias of nothing", changed("X01", "*x"), /^x\.yaml:1:1: the file: YAML: Unresolved alias/],
    [
      "two documents",
      `${GOOD}---\n${GOOD}`,
      /^x\.yaml:21:1: the file: YAML: Source contains multiple documents; [^:]*$/,
    ],
    [
      "an actor called as a step begins",
      changed("kind: nic", "kind: nic, name: race"),
      /^x\.yaml:8:18: importers\.0\.name: race begins a step of its own: choose another name/,
    ],
    [
      "a fault that breaks nobody's call",
      `${GOOD}fault: { party: importer, what: lies, breaks: [umap] }\n`,
      /^x\.yaml:21:48: fault\.breaks\.0: must be one of attach, .*, is "umap"/,
    ],
    ["a field too many", changed("steps:", "stepps: []\nsteps:"), /^x\.yaml:9:1: stepps: there is no such field here/],
    ["a field too few", changed('title: "A BAR"\n', ""), /^x\.yaml:1:1: title: is missing/],
    ["another topology", changed("T1", "T9"), /^x\.yaml:5:13: topology\.base: must be one of T1, T2, T4, is "T9"/],
    [
      "nobody's kind",
      changed("kind: nic", "kind: floppy"),
      /^x\.yaml:8:7: importers\.0\.kind: nobody plays floppy: choose from nic, /,
    ],
    [
      "nobody's name",
      changed("- exporter: export", "- nik: import"),
      /^x\.yaml:10:5: steps\.0\.nik: there is no actor of that name: choose from platform, exporter, nic/,
    ],
    [
      "no action",
      changed("exporter: export", "exporter: fly"),
      /^x\.yaml:10:5: steps\.0\.exporter: exporter cannot fly: choose from export, /,
    ],
    [
      "no size",
      changed("4 KiB", "4 kb"),
      /^x\.yaml:11:21: steps\.1\.nic\.write\.offset: must be a size: a number of bytes, or one with a unit, as in 4 KiB, is "4 kb"/,
    ],
    [
      "one task",
      changed("      two: [exporter: revoke]\n", ""),
      /^x\.yaml:12:5: steps\.2\.race: must have two tasks or more/,
    ],
    [
      "two actors in a step",
      changed("- exporter: export", "- { exporter: export, nic: read }"),
      /^x\.yaml:10:5: steps\.0: a step is a map of one actor/,
    ],
    [
      "no verdict",
      changed("REFUSED(EINVAL@attach)", "REFUSED"),
      /^x\.yaml:18:5: cells\.pfn\.conforming: must be one of OK, .*REFUSED\(errno@stage\)/,
    ],
    ["no errno", changed("EINVAL@", "EWHAT@"), /^x\.yaml:18:5: cells\.pfn\.conforming: must be one of OK/],
    [
      "no blame",
      changed("blame: contract", "blame: you"),
      /^x\.yaml:19:5: cells\.pfn\.blame: must be one of contract, exporter, /,
    ],
    ["a name of JavaScript's", changed("exporter: export", "exporter: constructor"), /exporter cannot constructor/],
    ["a kind of JavaScript's", changed("kind: nic", "kind: toString"), /nobody plays toString/],
    [
      "a reading of nobody",
      `${GOOD}readings: [{ name: a, importers: { nik: {} } }]\n`,
      /^x\.yaml:21:36: readings\.0\.importers\.nik: there is no importer of that name: choose from nic/,
    ],
    [
      "a reading that sets nothing that is",
      `${GOOD}readings: [{ name: a, importers: { nic: { retry: 7 } } }]\n`,
      /^x\.yaml:21:43: readings\.0\.importers\.nic\.retry: must be boolean, is 7/,
    ],
    [
      "two of a name",
      changed("  - { kind: nic, class: faulting }", "  - { kind: nic }\n  - { kind: nic }"),
      /^x\.yaml:9:5: importers\.1: two actors are called nic/,
    ],
  ])("with %s is refused, with line, field and what was expected", (_what, text, message) => {
    expect(mistake(text)).toMatch(message);
  });

  it("is refused by a ScenarioError, whatever the text", () => {
    const lines = GOOD.split("\n");
    const cut = fc.tuple(fc.nat(lines.length - 1), fc.string()).map(([at, line]) => lines.with(at, line).join("\n"));
    fc.assert(
      fc.property(fc.oneof(cut, fc.string()), (text) => {
        expect(typeof mistake(text)).toBe("string");
      }),
    );
  });
});

it("a verdict reads as it is written", () => {
  for (const text of [
    "OK",
    "HANG",
    "NA",
    "REFUSED(EINVAL@attach)",
    "REFUSED(unspecified@query)",
    "REFUSED(GUEST@guest)",
  ])
    expect(verdictText(parseVerdict(text) ?? { verdict: "NA" })).toBe(text);
  for (const text of ["", "ok", "REFUSED", "REFUSED(EINVAL)", "REFUSED(EINVAL@nowhere)"])
    expect(parseVerdict(text)).toBeNull();
});
