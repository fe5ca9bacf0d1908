/** On-demand paging: what is in flight finds no translation, and looks again. */
import { ClassImporter } from "./class-importer.js";
import type { Translation } from "./options.js";

export class Faulting extends ClassImporter {
  readonly name = "faulting";

  /** The device walks the translation at the arrival: what is gone by then faults. */
  protected override arrive(translation: Translation): boolean {
    return translation === this.translation && super.arrive(translation);
  }
}
