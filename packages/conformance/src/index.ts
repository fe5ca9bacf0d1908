/**
 * The kit for authors of exporters and importers: one case a requirement, run through a recording host.
 *
 * @packageDocumentation
 */
export { type Case, check, conformance, type Runner } from "./check.js";
export { checkPlugin } from "./check-plugin.js";
export {
  type Access,
  ClassImporter,
  type ClassImporterOptions,
  type ImporterClass,
} from "./importers/class-importer.js";
export { classesOf, classImporter } from "./importers/classes.js";
export { RecordingHost, type RecordingHostOptions } from "./recording-host.js";
export { referenceExporter, type ReferenceExporter, referencePage } from "./reference-exporter.js";
export { ReferenceImporter } from "./reference-importer.js";
export type {
  Counts,
  ExporterCapability,
  ExporterSubject,
  ExporterUnderTest,
  ImporterCapability,
  ImporterSubject,
  ImporterUnderTest,
} from "./subject.js";
