export declare function examples(root: string, scope: () => Record<string, unknown>): void;
