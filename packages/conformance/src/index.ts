/**
 * The kit for authors of exporters and importers: one case a requirement, run through a recording host.
 *
 * @packageDocumentation
 */
export { check, conformance, type Runner } from "./check.js";
export { checkPlugin } from "./check-plugin.js";
export { ClassImporter } from "./importers/class-importer.js";
export { classesOf, classImporter } from "./importers/classes.js";
export type { Access, ClassImporterOptions, ImporterClass } from "./importers/options.js";
export type { Case } from "./kit-case.js";
export type { CheckOptions } from "./orders.js";
export { RecordingHost, type RecordingHostOptions } from "./recording-host.js";
export { referenceExporter, type ReferenceExporter, referencePage } from "./reference-exporter.js";
export { ReferenceImporter } from "./reference-importer.js";
export { type Replayed, replayOrder } from "./replay-order.js";
export type {
  Counts,
  ExporterCapability,
  ExporterSubject,
  ExporterUnderTest,
  ImporterCapability,
  ImporterSubject,
  ImporterUnderTest,
} from "./subject.js";
