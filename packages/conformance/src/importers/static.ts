/** Attached without operations: whoever maps for it pins for it. */
import { ClassImporter } from "./class-importer.js";

export class Static extends ClassImporter {
  readonly name = "static";

  protected override ops(): null {
    return null;
  }
}
