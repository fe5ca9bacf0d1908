import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as pageTable from "@dma-buf/page-table";
import * as api from "./index.js";
import { iommufdImporter } from "./pfn-locked.js";
import { Fixture } from "./testing/fixture.js";

/** An iommufd with nothing in it, and a file that is open. */
examples(join(import.meta.dirname, ".."), () => {
  const { fw: framework, scheduler, host, iommufd, user } = new Fixture();
  const device = { name: "0000:02:00.0" };
  host.files.set(9, { kind: "other" });
  return { ...core, ...pageTable, ...api, iommufdImporter, framework, scheduler, host, iommufd, user, device, fd: 9 };
});
