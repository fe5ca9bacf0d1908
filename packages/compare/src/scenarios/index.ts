/** The catalogue, in the order in which to show it. A scenario is one file; adding one is adding it here. */
import type { Scenario } from "../scenario.js";
import { s01a } from "./s01a.js";
import { s02a } from "./s02a.js";
import { s06a } from "./s06a.js";
import { s15a } from "./s15a.js";
import { s17a } from "./s17a.js";
import { s18a } from "./s18a.js";
import { s21a } from "./s21a.js";
import { s34a } from "./s34a.js";
import { s34c } from "./s34c.js";
import { s41a } from "./s41a.js";

export const catalogue: readonly Scenario[] = [s02a, s17a, s34c, s18a, s06a, s15a, s34a, s21a, s01a, s41a];
