// docs/findings.md, two pages. Sentences stand here, numbers and names come from the results.
import { byImporter, idsOf, isContracts, isOutOfService, isStopped, isUnsafe, reachesBytes } from "./table.mjs";

const A = "dma-address";
const LOCKED = "pfn-locked";
const MERGED = "linux-7.3";
/** Pinned VRAM is not taken back from who has no callback, and who need not map again after a revoke does not. */
const ON_PURPOSE = ["S39b", "S41b", "S41d"];

export function findingsPage(table, scenarios) {
  const parts = [
    introduction(table, scenarios),
    counts(table),
    gains(table),
    losses(table),
    lock(table),
    annotation(table),
    merged(table, scenarios),
    faults(table),
    nobody(table),
    care(table),
  ];
  return `${parts.join("\n\n").split("\n").flatMap(wrapped).join("\n")}\n`;
}

/** Prose in lines of 120 columns; tables and headings as they are. */
function wrapped(line) {
  if (/^[|#]/.test(line)) return [line];
  const lines = [];
  let rest = "";
  for (const word of line.split(" ")) {
    if (rest !== "" && rest.length + 1 + word.length > 120) {
      lines.push(rest);
      rest = word;
    } else rest = rest === "" ? word : `${rest} ${word}`;
  }
  return [...lines, rest];
}

function introduction({ results, questions, faults: broken, contracts }, scenarios) {
  return `# Findings

What ${scenarios.length} scenarios under ${contracts.length} contracts, ${results.length} cells, say about the debate: may an importer see page frames, or only addresses that the exporter mapped for its device? Each cell was run on the modelled machine, and its verdict comes from where the bytes went. Counted below is what the best exporter and importer that obey a contract reach, and only what the contract itself is to blame for: what a driver did wrong, or a platform cannot do, says nothing about the contract. ${questions.length} cells ask a question; in ${broken.length} somebody breaks a rule on purpose, and those count apart. This page is written by \`npm run docs\`.`;
}

/** A row a contract. */
function counts(table) {
  const rows = table.contracts.map((contract) => {
    const own = table.of(contract);
    const verdict = (kind) => own.filter((r) => r.conforming.verdict === kind).length;
    const bad = own.filter(isContracts);
    const stopped = bad.filter(isStopped).length;
    const unsafe = bad.filter(isUnsafe).length;
    const silent = bad.filter((r) => r.conforming.verdict === "UNSPEC").length;
    const rest = bad.length - stopped - unsafe - silent;
    const others = own.length - verdict("OK") - verdict("NA") - bad.length;
    return `| \`${contract}\` | ${[verdict("OK"), stopped, rest, unsafe, silent, others, verdict("NA")].join(" | ")} |`;
  });
  const posted = table.questions.filter((r) => ["exporter", "importer"].includes(r.blame) && isBad(r));
  return `## In numbers

| contract | served | stopped by it | worse by it | unsafe by it | silent | not its doing | not applicable |
|---|---|---|---|---|---|---|---|
${rows.join("\n")}

*Stopped*: refused, or a fault. *Worse*: a slower path or smaller pieces. *Unsafe*: bytes lost, stale, disclosed, or leaked. *Silent*: two implementations obey and differ. *Not its doing*: right refusals, and what exporter, importer or platform are to blame for; in ${posted.length} cells of it (${idsOf(posted) || "none"}) code that was posted has the blame, and the contract's own share was not asked. \`vma\` is no contract of dma-buf but what importers without a device use in its place: a NIC's registration of a CPU mapping is refused by the kernel's memory management, whatever the scenario asks.`;
}

function gains(table) {
  const overA = table.servedOnlyBy(LOCKED, A);
  const overMerged = table.servedOnlyBy(LOCKED, MERGED);
  const deviceless = overA.filter((r) => isForWantOfDevice(table.cell(A, r.scenario)));
  const others = overA.filter((r) => !deviceless.includes(r));
  const hanging = overA.filter((r) => r.unknown);
  return `## Where page frames serve what DMA addresses cannot

Under \`${LOCKED}\`, ${overA.length} questions are served that \`${A}\` does not serve because of itself (${byImporter(overA)}), and ${overMerged.length} that \`${MERGED}\` does not (${byImporter(overMerged)}). ${deviceless.length} of the former have one reason: an importer that has no \`struct device\` and builds its own page table cannot attach where the exporter maps for the attached device. The others are ${idsOf(others) || "none"}. Linux 7.3 leaves the gap to a private hook, which serves iommufd with one range of one exporter, and nobody else. ${hanging.length} of the ${overA.length} hang on what nobody knows: nobody asked for the route, and where the root complex does not forward peer requests they end in ${[...new Set(hanging.map((r) => r.unknown.otherwise.verdict))].join(" or ") || "alike"} instead (${idsOf(hanging) || "none"}). That hook does not ask either.

- over \`${A}\`: ${idsOf(overA) || "none"}
- over \`${MERGED}\`: ${idsOf(overMerged) || "none"}`;
}

function losses(table) {
  const toA = table.servedOnlyBy(A, LOCKED);
  const toMerged = table.servedOnlyBy(MERGED, LOCKED);
  const all = [...toA, ...toMerged];
  const unsafe = table.of(LOCKED).filter((r) => isContracts(r) && isUnsafe(r));
  const alike = unsafe.filter(
    (r) => isContracts(table.cell(MERGED, r.scenario)) && isUnsafe(table.cell(MERGED, r.scenario)),
  );
  const shut = unsafe.filter((r) => isForWantOfDevice(table.cell(A, r.scenario)));
  return `## Where page frames lose what exporters keep

The other way round, ${toA.length} questions are served under \`${A}\` and not under \`${LOCKED}\` because of the page frame (${byImporter(toA)}), and ${toMerged.length} under \`${MERGED}\` (${byImporter(toMerged)}): ${idsOf(all) || "none"}. A page frame says where memory is for the CPU. It does not say at which address a peer's bus has it, nor whether a route leads there, nor how it wants to be cached, and the importer cannot make that up. That is said of the number alone: whoever has the peer-to-peer provider beside it, as the helper of Linux 7.3 has, knows address and route. And it is said of importers that have no choice: these columns ask for page frames in every scenario, where an exporter with both calls would map for a NIC as under \`${A}\` (and, as the series was posted, then refuse who has no device). Where nobody refuses, bytes go astray: ${unsafe.length} cells are unsafe under \`${LOCKED}\` by the contract's own doing (${unsafe.map((r) => `${r.scenario} ${r.conforming.verdict}`).join(", ") || "none"}). ${alike.length} of them are so under \`${MERGED}\` as well (${idsOf(alike) || "none"}); \`${A}\` shuts out ${shut.length} for want of a device, not because it knows of the danger.`;
}

function lock(table) {
  const pairs = table.differing("pfn", LOCKED);
  const cells = pairs.map(([a, b]) => `${a.scenario} (${said(a)} against ${said(b)})`);
  const device = pairs.filter(([a]) => isForWantOfDevice(a)).map(([a]) => a);
  const broken = pairs.filter(([a]) => a.fault !== null).map(([a]) => `${a.scenario} (${a.fault.what})`);
  return `## What the lock is worth

\`pfn\` is the contract of the RFC over Linux 6.13. \`${LOCKED}\` is what both sides could live with on 20 January 2025 (c10ae58f, 20250120175901) and nobody posted; in April 2026 König refused a list of physical addresses again (c413710b). It is read here so: the reservation is held, the revoke rules are those of 7.3, and a device is asked for where something is mapped, not at attach. All three together change ${cells.length} of ${table.results.length / table.contracts.length} scenarios: ${cells.join(", ") || "none"}. ${idsOf(device) || "None"} is the device rule's doing, not the lock's; a rule is broken on purpose in ${broken.join(", ") || "none"}. The lock closes the window between question and answer for importers that have no retry of their own. It does not say where an address is valid: what a page frame loses above, it loses under both.`;
}

function annotation(table) {
  const C = "annotated-address";
  const silent = table.of(C).filter((r) => r.conforming.verdict === "UNSPEC");
  const overLocked = table.servedOnlyBy(C, LOCKED);
  const overA = table.servedOnlyBy(C, A);
  const frames = overA.filter((r) => table.cell(LOCKED, r.scenario).conforming.verdict === "OK");
  const unsafe = table.of(C).filter((r) => isContracts(r) && isUnsafe(r));
  return `## What annotated addresses would be worth

\`${C}\` is a reading of an offer that was never code. It serves ${overA.length} questions that \`${A}\` does not because of itself, and ${overLocked.length} that \`${LOCKED}\` does not. ${frames.length} of the ${overA.length} are served by page frames as well (${byImporter(frames)}), those of kvm and iommufd in the same way: the reading lets an exporter tell these two a page frame, tagged as one (König, 6612c40d). ${unsafe.length} cells are unsafe by it, since the reading has everybody refuse a tag that he does not understand; no code had to yet. Its price is silence: in ${silent.length} cells (${idsOf(silent) || "none"}) nobody has said who decides, and two implementations that both obey end differently.`;
}

function merged(table, scenarios) {
  const sources = new Map(scenarios.map(({ id, source }) => [id, source]));
  const worse = table
    .of(MERGED)
    .filter((r) => r.asPosted.verdict !== "NA" && r.asPosted.verdict !== r.conforming.verdict);
  const by = (blame) => worse.filter((r) => r.blame === blame);
  const seen = worse.filter((r) => sources.get(r.scenario).includes("seen on Linux"));
  const derived = worse.filter((r) => r.basis === "derived");
  const chosen = worse.filter((r) => ON_PURPOSE.includes(r.scenario));
  return `## What was merged

Linux 7.3 has revoke as an obligation: who declares the callback has to unmap in bounded time, and vfio waits for the fences and for that, without a timeout. Against what that contract allows, the merged code ends otherwise in ${worse.length} cells, of which ${by("exporter").length} by an exporter or its helper (${idsOf(by("exporter")) || "none"}), ${by("importer").length} by an importer (${idsOf(by("importer")) || "none"}); the rest differ in what the platform or the contract is to blame for anyway. None of those ${by("exporter").length + by("importer").length} is an argument for or against the contract, as there is code that obeys the same one and ends as it says. Nor is each a bug: ${idsOf(chosen) || "none"} are as their authors want them. Seen on a running kernel, at least in part: ${idsOf(seen) || "none"}. ${derived.length} are conclusions from its source (${idsOf(derived) || "none"}), to be seen on a real one before anybody is told.`;
}

function faults(table) {
  const named = (results) => results.map((r) => `${r.scenario} ${r.conforming.verdict}`).join(", ") || "none";
  const rows = table.contracts.map((contract) => {
    const own = table.faults.filter((r) => r.contract === contract && r.conforming.verdict !== "NA");
    const [bytes, service] = [own.filter(reachesBytes), own.filter(isOutOfService)];
    const silent = own.filter((r) => r.conforming.verdict === "UNSPEC").length;
    const harmless = own.length - bytes.length - service.length - silent;
    return `| \`${contract}\` | ${own.length} | ${harmless} | ${silent} | ${named(service)} | ${named(bytes)} |`;
  });
  const reached = (by, not) =>
    table.faults
      .filter((r) => r.contract === by && reachesBytes(r))
      .map((r) => [r, table.cell(not, r.scenario)])
      .filter(([, other]) => other.conforming.verdict !== "NA" && !reachesBytes(other))
      .map(([r, other]) => `${r.scenario}, ${said(r)} against ${said(other)}`)
      .join("; ") || "none";
  return `## When somebody breaks a rule

| contract | tried | contained | silent | ends the service | reaches bytes |
|---|---|---|---|---|---|
${rows.join("\n")}

*Contained*: the illegal act was refused, stopped by hardware, or did no harm; what \`compare\` prints counts OK alone. A hang is an end of the service and keeps the bytes safe: it is what 7.3 makes of an importer that never unmaps, where 6.13 goes on without it. Who made a mapping can take it away: behind an IOMMU that is the exporter's argument, and what an importer mapped itself nobody else takes back (bytes reached under \`${LOCKED}\` and not under \`${A}\`: ${reached(LOCKED, A)}). That a DMA address is one device's alone, and does not look it, is the importer's (the other way round: ${reached(A, LOCKED)}).`;
}

function nobody(table) {
  const platform = table.questions.filter((r) => r.blame === "platform");
  const silently = platform.filter(reachesBytes);
  return `## What no contract mends

${platform.length} cells are the platform's doing (${idsOf(platform) || "none"}): no route, or one that the kernel's list does not know, an address beyond a mask or an aperture, a route that is switched off under a live mapping, a device that is pulled out. ${silently.length} of them reach bytes (${idsOf(silently) || "none"}): the kernel's list lets a request through that the root complex drops, and no contract sees it.`;
}

function care(table) {
  const bases = new Map();
  for (const r of table.results) bases.set(r.basis, (bases.get(r.basis) ?? 0) + 1);
  const contested = table.results.filter((r) => r.contested).length;
  const races = table.results.filter((r) => r.schedules);
  const bounded = races.filter((r) => !r.schedules.exhausted).length;
  const orders = races.reduce((sum, r) => sum + r.schedules.explored, 0);
  return `## Read with care

What a cell is expected to be rests on: ${[...bases].map(([basis, n]) => `${basis} ${n}`).join(", ")}. ${contested} cells are [contested](contested.md). Races were run in ${orders} orders in ${races.length} cells, of which ${bounded} were bounded. CPU memory ordering is out of scope; confidential devices are a platform model that nobody checked against hardware; and a scenario that nobody thought of is not here: [write it](scenarios.md).`;
}

function isBad({ conforming: { verdict } }) {
  return verdict !== "OK" && verdict !== "NA";
}

function isForWantOfDevice({ conforming: { errno, stage } }) {
  return errno === "EINVAL" && stage === "attach";
}

function said({ conforming: { verdict, errno, stage } }) {
  return errno ? `${verdict} ${errno}@${stage}` : verdict;
}
