/** A contract as text, and what one has and another has not. */
import { type CallName, type Contract, kernelName, type Row, rowsOf } from "@dma-buf/core";
import type { Io } from "./io.js";
import { bold, wrap, textWidth } from "./text.js";

/** One thing that two contracts do not say alike: what each says. */
export interface Difference {
  readonly what: string;
  readonly first: string;
  readonly second: string;
}

export interface ContractDifference {
  readonly onlyFirst: readonly string[];
  readonly onlySecond: readonly string[];
  readonly different: readonly Difference[];
}

/** Compares rows by call, then life cycle, policy and defects. Ids and sources differ always, and are left out. */
export function compareContracts(a: Contract, b: Contract): ContractDifference {
  const missing = (x: Contract, y: Contract): string[] =>
    rowsOf(x).flatMap(([call, row]) => (y.rows[call] ? [] : [`${kernelName(x, call)} (${row.party})`]));
  const both = rowsOf(a).flatMap(([call, row]) => {
    const other = b.rows[call];
    return other ? rowDifferences(kernelName(a, call), facts(a, call, row), facts(b, call, other)) : [];
  });
  const policy = rowDifferences("policy", policyFacts(a), policyFacts(b));
  const life = rowDifferences("may be called when", lifeFacts(a), lifeFacts(b));
  const defects = rowDifferences("known", { defects: defectText(a) }, { defects: defectText(b) });
  return { onlyFirst: missing(a, b), onlySecond: missing(b, a), different: [...both, ...policy, ...life, ...defects] };
}

/** One contract, every row. */
export function renderContract(contract: Contract, io: Io): string {
  const width = textWidth(io);
  const lines = [bold(io.colour, contract.id), ...wrap(contract.title, width), `Kernel base: ${contract.base}`, ""];
  for (const [party, heading] of Object.entries(PARTIES)) {
    const rows = rowsOf(contract).filter(([, row]) => row.party === party);
    lines.push(bold(io.colour, heading), "");
    for (const [call, row] of rows) lines.push(...rowLines(contract, call, row, width), "");
  }
  lines.push(bold(io.colour, "Policy"), ...factLines(policyFacts(contract), width), "");
  lines.push(bold(io.colour, "May be called when"), ...factLines(lifeFacts(contract), width));
  for (const { id, what, source } of contract.defects)
    lines.push("", bold(io.colour, id), ...wrap(`${what} (${source})`, width - 2).map((l) => `  ${l}`));
  return lines.join("\n");
}

/** Two contracts: only what they do not have in common. */
export function renderDifference(a: Contract, b: Contract, io: Io): string {
  const width = textWidth(io);
  const { onlyFirst, onlySecond, different } = compareContracts(a, b);
  const list = (title: string, names: readonly string[]): string[] =>
    names.length === 0 ? [] : [bold(io.colour, title), ...wrap(names.join(", "), width - 2).map((l) => `  ${l}`), ""];
  const lines = [`${a.id} (Linux ${a.base}) against ${b.id} (Linux ${b.base})`, ""];
  if (a.base !== b.base) lines.push(...wrap("Two axes differ: the kernel, and what the importer sees.", width), "");
  lines.push(...list(`Only ${a.id}`, onlyFirst), ...list(`Only ${b.id}`, onlySecond));
  if (different.length > 0) lines.push(bold(io.colour, "Different"));
  for (const { what, first, second } of different) {
    lines.push(`  ${what}`);
    for (const [id, text] of [
      [a.id, first],
      [b.id, second],
    ] as const)
      lines.push(...indented(`${id}: ${text || "nothing"}`, width));
  }
  if (lines.length <= 2) lines.push("They say the same.");
  return lines.join("\n").trimEnd();
}

const PARTIES: Readonly<Record<Row["party"], string>> = {
  exporter: "Callbacks of the exporter",
  importer: "Callbacks of the importer",
  framework: "Calls into the framework",
  file: "Calls on the buffer's file",
};

type Facts = Readonly<Record<string, string>>;

function rowLines(contract: Contract, call: CallName, row: Row, width: number): string[] {
  const { does, ...rest } = facts(contract, call, row);
  const name = kernelName(contract, call);
  return [`  ${name}`, ...wrap(does ?? "", width - 4).map((l) => `    ${l}`), ...factLines(rest, width)];
}

function facts(contract: Contract, call: CallName, row: Row): Facts {
  const list = (record: Readonly<Record<string, string>>): string =>
    Object.entries(record)
      .map(([code, why]) => `${code} (${why})`)
      .join(", ");
  return {
    does: row.does,
    name: kernelName(contract, call),
    presence: `${row.presence}${row.pairedWith ? `, together with ${kernelName(contract, row.pairedWith)}` : ""}`,
    reservation: `${RESV[row.resv]}${row.inside === "leaves" ? "" : `; ${INSIDE[row.inside]}`}`,
    sleeps: row.maySleep ? "may sleep" : "must not sleep",
    result: row.owner,
    errors: list(row.errors),
    findings: row.findings.join("; "),
  };
}

const RESV = { held: "held by the caller", free: "not held by the caller", either: "held or not" } as const;
const INSIDE = { leaves: "", takes: "takes it and gives it back", "may-take": "may take it" } as const;

function policyFacts(contract: Contract): Facts {
  const { backing, drain, ...rest } = contract.policy;
  const plain = Object.entries(rest).map(([name, value]) => [name, String(value)]);
  return {
    ...(Object.fromEntries(plain) as Facts),
    backing: `one of ${backing.map((call) => kernelName(contract, call)).join(", ")}`,
    "a revoke waits for": drain.join(", then ") || "nothing",
  };
}

function lifeFacts(contract: Contract): Facts {
  const named = (calls: readonly CallName[]): string => calls.map((call) => kernelName(contract, call)).join(", ");
  return Object.fromEntries(
    Object.entries(contract.lifeCycle).map(([state, calls]) => [state, named(calls) || "nothing"]),
  );
}

function defectText({ defects }: Contract): string {
  return defects.map((d) => d.what).join("; ");
}

function rowDifferences(what: string, a: Facts, b: Facts): Difference[] {
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return names.flatMap((name) => {
    const [first = "", second = ""] = [a[name], b[name]];
    return first === second ? [] : [{ what: `${what}: ${name}`, first, second }];
  });
}

function factLines(all: Facts, width: number): string[] {
  return Object.entries(all).flatMap(([name, value]) =>
    value === "" || name === "name" ? [] : indented(`${name}: ${value}`, width),
  );
}

function indented(text: string, width: number): string[] {
  return wrap(text, width - 6).map((line, i) => (i === 0 ? `    ${line}` : `      ${line}`));
}
