/**
 * The kit for authors of exporters and importers: one case a requirement, run through a recording host.
 *
 * @packageDocumentation
 */
export { type Case, check, conformance, type Runner } from "./check.js";
export { checkPlugin } from "./check-plugin.js";
export { RecordingHost } from "./recording-host.js";
export { referenceExporter, type ReferenceExporter, ReferenceImporter, referencePage } from "./reference.js";
export type {
  ExporterCapability,
  ExporterSubject,
  ExporterUnderTest,
  ImporterCapability,
  ImporterSubject,
  ImporterUnderTest,
} from "./subject.js";
