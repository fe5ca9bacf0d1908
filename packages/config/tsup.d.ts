import type { Options } from "tsup";

type Config = Options | Options[] | ((overrides: Options) => Options | Options[] | Promise<Options | Options[]>);
export declare function library(entry: string[], more?: Options): Config;
export declare function plugin(): Config;
export declare function command(entry: string[]): Config;
