/** An importer that claims what its device cannot do. */
import { accepted } from "../accepted.js";
import { importerFor } from "../world.js";
import type { Misbehaviour } from "./misbehaviour.js";

export const noPeer: Misbehaviour = {
  name: "no-peer",
  title: "a device that is on no PCI bus claims peer-to-peer: served or refused, and nothing is left",
  *misbehave(w, buf) {
    const importer = importerFor(w);
    const { device } = w.host;
    const spaces = device.spaces.filter((s) => s.kind !== "pci-bus");
    if (!(yield* accepted(importer.attach(buf, { ...device, name: "platform device", spaces })))) return;
    yield* accepted(importer.use());
    yield* importer.detach();
  },
};
