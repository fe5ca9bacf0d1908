// The reference, one page a contract and one for reservation and fence, out of the rows that also make the checks.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const NOTE = "<!-- Written by `npm run docs` from the contracts' rows. Change those. -->";

const RESV = { held: "held by the caller", free: "not held by the caller", either: "held or not" };

/** Paths from the root, and what they must hold. */
export async function referencePages(root) {
  const load = (name) => import(pathToFileURL(join(root, `packages/${name}/dist/index.js`)).href);
  const { contracts, syncRows, rowsOf, kernelName } = await load("core");
  const { fenceRows } = await load("fence");
  const pages = contracts.map((c) => [`docs/reference/contracts/${c.id}.md`, contractPage(c, rowsOf, kernelName)]);
  return {
    ...Object.fromEntries(pages),
    "docs/reference/reservation-and-fence.md": syncPage({ ...syncRows, ...fenceRows }),
    "docs/reference/README.md": indexPage(contracts),
  };
}

function contractPage(contract, rowsOf, kernelName) {
  const { id, title, base, policy, lifeCycle, defects } = contract;
  const name = (call) => kernelName(contract, call);
  const out = [NOTE, "", `# ${id}`, "", title, "", `Kernel base: Linux ${base}.`];
  for (const [party, heading] of [
    ["exporter", "Callbacks of the exporter"],
    ["importer", "Callbacks of the importer"],
    ["framework", "Calls into the framework"],
    ["file", "Calls on the buffer's file"],
  ]) {
    out.push("", `## ${heading}`);
    for (const [call, row] of rowsOf(contract))
      if (row.party === party) out.push("", ...rowSection(`\`${name(call)}\``, call, row, name));
  }
  out.push(
    "",
    "## Policy",
    "",
    ...table(
      ["decides", "value"],
      Object.entries(policy).map(([k, v]) => [k, code([v].flat(), name)]),
    ),
  );
  const life = Object.entries(lifeCycle).map(([state, calls]) => [state, code(calls, name)]);
  out.push("", "## May be called when", "", ...table(["state", "calls"], life));
  if (defects.length > 0) {
    const known = defects.map((d) => [`\`${d.id}\``, d.what, d.source]);
    out.push("", "## Known defects", "", "Kept as posted; each is a finding under its id when it bites.", "");
    out.push(...table(["id", "what", "source"], known));
  }
  return `${out.join("\n")}\n`;
}

function rowSection(heading, call, row, name) {
  const pair = row.pairedWith ? `, together with \`${name(row.pairedWith)}\`` : "";
  const inside = { leaves: "", takes: "; takes it and gives it back", "may-take": "; may take it" }[row.inside];
  const facts = [
    ["id", `\`${row.id}\`, here \`${call}\``],
    ["presence", `${row.presence}${pair}`],
    ["reservation", `${RESV[row.resv]}${inside}`],
    ["sleeps", row.maySleep ? "may sleep" : "must not sleep"],
    ["result", row.owner],
    ...common(row),
  ];
  return [`### ${heading}`, "", row.does, "", ...table(["", ""], facts)];
}

function syncPage(rows) {
  const out = [NOTE, "", "# Reservation and fence", "", "The same under every contract."];
  for (const [call, row] of Object.entries(rows)) {
    const facts = [
      ["id", `\`${row.id}\`, here \`${call}\``],
      ["reservation", RESV[row.resv]],
      ["sleeps", row.maySleep ? "may sleep" : "must not sleep"],
      ...common(row),
    ];
    out.push("", `## \`${row.op}\``, "", row.does, "", ...table(["", ""], facts));
  }
  return `${out.join("\n")}\n`;
}

function indexPage(contracts) {
  const list = contracts.map((c) => `- [${c.id}](contracts/${c.id}.md) (Linux ${c.base}): ${c.title}`);
  const text =
    "What each call promises, by contract. `dma-buf contract ID [ID]` prints the same in a terminal, and what one contract has and another has not.";
  return [
    NOTE,
    "",
    "# Reference",
    "",
    text,
    "",
    ...list,
    "- [Reservation and fence](reservation-and-fence.md)",
    "",
  ].join("\n");
}

function common(row) {
  const errors = Object.entries(row.errors).map(([errno, why]) => `\`${errno}\`: ${why}`);
  return [
    ["errors", errors.join("<br>") || "none"],
    ...(row.findings.length > 0 ? [["findings", row.findings.join("<br>")]] : []),
    ["source", row.source],
  ];
}

function code(values, name) {
  return values.length === 0 ? "nothing" : values.map((v) => `\`${name(String(v))}\``).join(", ");
}

function table(head, rows) {
  const line = (cells) => `| ${cells.map((c) => String(c).replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)];
}
