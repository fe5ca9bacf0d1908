// The layering, checked: an arrow may point only where this table says. A package that is missing here may use nothing.
const uses = {
  core: [],
  file: ["core"],
  fence: ["core", "file"],
  scatterlist: ["core"],
  conformance: ["core"],
  "page-table": ["core"],
  pci: ["core"],
  machine: ["core", "page-table", "pci"],
  "exporter-vfio": ["core", "scatterlist"],
  "exporter-udmabuf": ["core", "scatterlist"],
  "exporter-gpu": ["core", "scatterlist"],
  "importer-iommufd": ["core", "page-table", "scatterlist"],
  "importer-kvm": ["core", "page-table", "scatterlist"],
  "importer-gpu": ["core", "page-table", "scatterlist"],
  "importer-rdma": ["core", "scatterlist"],
  compare: [
    "core",
    "conformance",
    "page-table",
    "pci",
    "machine",
    "fence",
    "file",
    "exporter-vfio",
    "exporter-udmabuf",
    "exporter-gpu",
    "importer-iommufd",
    "importer-kvm",
    "importer-gpu",
    "importer-rdma",
  ],
  cli: ["compare", "core", "pci"],
};

const variants = "dma-address|vma|pfn|pfn-locked|annotated-address|linux-7\\.3";

module.exports = {
  forbidden: [
    {
      name: "no-circular",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    { name: "not-to-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "src-not-to-test",
      severity: "error",
      from: { path: "/src/", pathNot: "\\.test\\.ts$" },
      to: { path: "\\.test\\.ts$" },
    },
    {
      name: "variants-apart",
      comment: "a variant stands alone: what two share is a file of its own",
      severity: "error",
      from: { path: `^packages/([^/]+)/src/(${variants})\\.ts$` },
      to: { path: `^packages/$1/src/(${variants})\\.ts$`, pathNot: "^packages/$1/src/$2\\.ts$" },
    },
    {
      name: "not-layered",
      comment: "a package that has no row in the table above may use no other",
      severity: "error",
      from: { path: "^packages/([^/]+)/src/", pathNot: `^packages/(${Object.keys(uses).join("|")})/` },
      to: { path: "^packages/", pathNot: "^packages/$1/" },
    },
    ...Object.entries(uses).map(([name, allowed]) => ({
      name: `${name}-uses`,
      comment: `${name} may use ${allowed.join(", ") || "nothing"}`,
      severity: "error",
      from: { path: `^packages/${name}/src/`, pathNot: "(\\.test|/testing)\\.ts$|/testing/" },
      to: { path: "^packages/", pathNot: `^packages/(${[name, ...allowed].join("|")})/` },
    })),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { conditionNames: ["@dma-buf/source", "import", "types"], exportsFields: ["exports"] },
  },
};
