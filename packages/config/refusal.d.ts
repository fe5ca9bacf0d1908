export declare function refusal(act: () => unknown): string;
export declare function errnoOf(act: () => unknown): string;
