/** KVM, iommufd: nothing is in flight when the callback returns. */
import type { Op } from "@dma-buf/core";
import { ClassImporter } from "./class-importer.js";

export class Zap extends ClassImporter {
  readonly name = "zap";

  protected override flush(): Op<void> {
    return this.settle();
  }
}
