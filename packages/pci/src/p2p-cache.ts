/**
 * The kernel's cache of peer-to-peer verdicts: an array in the provider, by the client's domain, bus, device and function
 * numbers. One call reads it, another computes anew and writes it, and nothing empties it while the provider's driver
 * is bound: not a change of ACS, not another card at the client's address. Facts of Linux 7.3, drivers/pci/p2pdma.c.
 */
import { type P2pAnswer, p2pVerdict } from "./p2p.js";
import type { Topology } from "./topology.js";

/** The verdicts of one provider. Only a provider that registered its memory with p2pdma has one. */
export class P2pCache {
  readonly #provider: string;
  readonly #topology: () => Topology;
  readonly #answers = new Map<string, P2pAnswer>();
  #isReleased = false;

  /** @param topology asked anew at each computation: the kernel reads the ACS control registers live */
  constructor(provider: string, topology: () => Topology) {
    this.#provider = provider;
    this.#topology = topology;
  }

  /** `pci_p2pdma_map_type()`: what is in the cache; computed only where nothing is. `cached`: was it there? */
  mapType(client: string): { readonly answer: P2pAnswer; readonly cached: boolean } {
    if (this.#isReleased) return { answer: this.#refusal(), cached: false };
    const known = this.#answers.get(client);
    return known ? { answer: known, cached: true } : { answer: this.distance(client), cached: false };
  }

  /** `pci_p2pdma_distance()`: always computes, and overwrites what is in the cache. */
  distance(client: string): P2pAnswer {
    const topology = this.#topology();
    const answer = p2pVerdict(topology, topology.get(this.#provider), topology.get(client));
    if (!this.#isReleased) this.#answers.set(client, answer);
    return answer;
  }

  #refusal(): P2pAnswer {
    const reason = `${this.#provider} has no peer-to-peer memory: its driver is unbound`;
    return { mapType: "not-supported", distance: -1, reason, redirects: [], remedy: "bind its driver" };
  }

  /** The provider's driver was unbound: it offers no memory any more, and every answer is a refusal. */
  release(): void {
    this.#answers.clear();
    this.#isReleased = true;
  }
}
