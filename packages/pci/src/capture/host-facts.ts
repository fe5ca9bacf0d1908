/** What a host's files say besides its functions: CPU, kernel, command line, IOMMU. */
import type { PciFunction } from "../function.js";
import type { Cpu, HostFacts } from "./capture.js";
import { canonical } from "../buses.js";
import { type Tree, textAt } from "./tree.js";

/** `sys` is the path of /sys in the tree, with its slash; /proc lies beside it. */
export function hostFacts(tree: Tree, sys: string, functions: readonly PciFunction[]): Omit<HostFacts, "busOffsets"> {
  const proc = `${sys.replace(/sys\/$/, "")}proc/`;
  const commandLine = textAt(tree, `${proc}cmdline`);
  return {
    cpu: cpuOf(textAt(tree, `${proc}cpuinfo`) ?? ""),
    kernelRelease:
      textAt(tree, `${proc}sys/kernel/osrelease`) ??
      /^Linux version (\S+)/.exec(textAt(tree, `${proc}version`) ?? "")?.[1] ??
      null,
    commandLine,
    iommu: iommuOf(tree, sys, functions, commandLine ?? ""),
    domainTypes: domainTypes(tree, sys),
  };
}

/** IOMMU group by function, from the groups' side: a copy that followed links has no link from the function's. */
export function groupsOf(tree: Tree, sys: string): Map<string, number> {
  const groups = new Map<string, number>();
  for (const group of groupNames(tree, sys))
    for (const address of tree.list(`${sys}kernel/iommu_groups/${group}/devices`) ?? [])
      groups.set(canonical(address), Number(group));
  return groups;
}

function groupNames(tree: Tree, sys: string): string[] {
  return (tree.list(`${sys}kernel/iommu_groups`) ?? []).filter((name) => /^(?:0|[1-9]\d{0,8})$/.test(name));
}

function domainTypes(tree: Tree, sys: string): Map<number, string> {
  const types = new Map<number, string>();
  for (const group of groupNames(tree, sys)) {
    const type = textAt(tree, `${sys}kernel/iommu_groups/${group}/type`);
    if (type !== null) types.set(Number(group), type);
  }
  return types;
}

function iommuOf(tree: Tree, sys: string, functions: readonly PciFunction[], commandLine: string): HostFacts["iommu"] {
  if (functions.some((fn) => fn.iommuGroup !== null)) return "on";
  const units = tree.list(`${sys}class/iommu`);
  const groups = tree.list(`${sys}kernel/iommu_groups`);
  if (units?.length || groups?.length) return "on";
  // The kernel makes both directories when it is built for IOMMUs: empty ones say that it found none to use.
  const isOff = groups !== null || units !== null || /(?:^|\s)(?:iommu|intel_iommu|amd_iommu)=off\b/.test(commandLine);
  return isOff ? "off" : "unknown";
}

/** x86 alone names vendor and family so. Others have one field that tells what they are, and no family of that kind. */
function cpuOf(cpuinfo: string): Cpu | null {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}[ \\t]*:[ \\t]*(.+)$`, "m").exec(cpuinfo)?.[1];
  const vendor = field("vendor_id") ?? null;
  const [family, model] = [Number(field("cpu family")), Number(field("model"))];
  if (vendor !== null) return Number.isInteger(family) && Number.isInteger(model) ? { vendor, family, model } : null;
  const implementer = field("CPU implementer");
  const arm =
    implementer === undefined || implementer === "0x41" ? implementer && "Arm" : `Arm, of implementer ${implementer}`;
  const other = arm ?? field("uarch") ?? field("isa") ?? field("cpu");
  return other === undefined ? null : { vendor: other, family: 0, model: 0 };
}
