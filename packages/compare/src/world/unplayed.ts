import * as v from "valibot";
import { exporterKind, importerKind, NotApplicable } from "./actor.js";
const options = v.objectWithRest({}, v.unknown());
const never = (): never => {
  throw new NotApplicable("nobody plays this yet");
};
export const unplayedExporter = exporterKind({ package: "", options, actions: {}, create: () => ({ exported: never, acts: {}, *close() {} }) });
export const unplayedImporter = importerKind({ package: "", options, actions: {}, create: () => ({ acts: {}, *close() {} }) });
