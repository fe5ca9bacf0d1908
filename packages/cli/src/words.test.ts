import { expect, it } from "vitest";
import { details, list, listOf, orders, pair } from "./words.js";

const verdicts = listOf(["OK", "STALE", "platform, unverified"] as const);

it.each<[string, () => unknown, unknown]>([
  ["a list", () => list("a, b"), ["a", "b"]],
  ["two options", () => list("c", ["a"]), ["a", "c"]],
  ["one named twice", () => list("c,a", ["a"]), ["a", "c"]],
  ["any case", () => verdicts("stale"), ["STALE"]],
  ["the first word is enough", () => verdicts("platform"), ["platform, unverified"]],
  ["a pair", () => pair("a,b"), ["a", "b"]],
  ["orders", () => [orders("default"), orders("all"), orders("5")], ["default", "all", 5]],
  ["details", () => [details("all"), details("none"), details("3")], [Infinity, 0, 3]],
])("%s", (_name, read, value) => expect(read()).toEqual(value));

it.each<[string, () => unknown, RegExp]>([
  ["an empty entry", () => list("a,,b"), /an entry is empty/],
  ["an unknown word", () => verdicts("STAL"), /there is no STAL\. Choose from OK, STALE, platform$/],
  ["three", () => pair("a,b,c"), /A,B/],
  ["one twice", () => pair("a,a"), /two different contracts/],
  ["no orders", () => orders("0"), /from 1 on/],
  ["half an order", () => orders("1.5"), /from 1 on/],
  ["too large for a number", () => orders("9".repeat(20)), /from 1 on/],
  ["many", () => details("many"), /all, none/],
])("%s is refused with the rule", (_name, read, message) => expect(read).toThrow(message));
