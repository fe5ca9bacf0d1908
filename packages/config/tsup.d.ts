import type { Options } from "tsup";

type Config = Options | Options[] | ((overrides: Options) => Options | Options[] | Promise<Options | Options[]>);
export declare function library(entry: string[]): Config;
export declare function exporter(): Config;
export declare function command(entry: string[]): Config;
